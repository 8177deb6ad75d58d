output "id" {
  description = "The vault."
  value       = azurerm_key_vault.this.id
  depends_on  = [azurerm_role_assignment.operators, azurerm_private_endpoint.this]
}

output "uri" {
  description = "Address of the vault."
  value       = azurerm_key_vault.this.vault_uri
}

output "tenants_key_id" {
  description = "GENAI_ENCRYPTION__KEY_ID."
  value       = azurerm_key_vault_key.tenants.versionless_id
}

output "tenants_key_resource_id" {
  description = "That key as role assignments name it."
  value       = azurerm_key_vault_key.tenants.resource_versionless_id
}

output "rest_key_id" {
  description = "Key of what is at rest."
  value       = azurerm_key_vault_key.rest.versionless_id
}

output "rest_identity" {
  description = "The identity that uses that key."
  value = {
    id           = azurerm_user_assigned_identity.rest.id
    client_id    = azurerm_user_assigned_identity.rest.client_id
    principal_id = azurerm_user_assigned_identity.rest.principal_id
  }
  depends_on = [azurerm_role_assignment.rest]
}
