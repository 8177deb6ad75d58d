output "client_ids" {
  description = "Client ids for service accounts: platform (genai/genai), certificates."
  value       = { for name, identity in azurerm_user_assigned_identity.account : name => identity.client_id }
}

output "delivery_client_id" {
  description = "Identity of GitHub's workflows; null where no repository is named."
  value       = one(azurerm_user_assigned_identity.delivery[*].client_id)
}
