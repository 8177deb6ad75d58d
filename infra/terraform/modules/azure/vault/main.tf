# The key vault: the platform's secrets, the key that wraps tenants' keys, and the key of what is at rest. Azure keeps a copy of it in
# the paired region and answers reads from there when this one is away.

data "azurerm_client_config" "current" {}

locals {
  made = toset(["genai-admin-key", "genai-secret-key", "genai-metrics-token"])
}

resource "azurerm_key_vault" "this" {
  name                          = var.vault_name
  resource_group_name           = var.resource_group
  location                      = var.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "premium"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = length(var.operator_addresses) > 0
  tags                          = var.tags

  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices"
    ip_rules       = var.operator_addresses
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-vault"
  resource_group_name = var.resource_group
  location            = var.location
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = azurerm_key_vault.this.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "vault"
    private_dns_zone_ids = [var.zone_id]
  }
}

# who applies this may write secrets and keys; nobody else may
resource "azurerm_role_assignment" "operators" {
  for_each             = toset(["Key Vault Secrets Officer", "Key Vault Crypto Officer"])
  scope                = azurerm_key_vault.this.id
  role_definition_name = each.key
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_key_vault_key" "tenants" {
  name            = "genai"
  key_vault_id    = azurerm_key_vault.this.id
  key_type        = "RSA-HSM"
  key_size        = 3072
  key_opts        = ["wrapKey", "unwrapKey", "encrypt", "decrypt"]
  expiration_date = var.keys_expire
  tags            = var.tags
  depends_on      = [azurerm_role_assignment.operators, azurerm_private_endpoint.this]

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_key_vault_key" "rest" {
  name            = "rest"
  key_vault_id    = azurerm_key_vault.this.id
  key_type        = "RSA-HSM"
  key_size        = 3072
  key_opts        = ["wrapKey", "unwrapKey"]
  expiration_date = var.keys_expire
  tags            = var.tags
  depends_on      = [azurerm_role_assignment.operators, azurerm_private_endpoint.this]

  rotation_policy {
    expire_after         = "P2Y"
    notify_before_expiry = "P30D"
    automatic {
      time_before_expiry = "P60D"
    }
  }
}

# databases, caches, stores and registries use that key by this identity
resource "azurerm_user_assigned_identity" "rest" {
  name                = "${var.name}-rest"
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "rest" {
  scope                = azurerm_key_vault_key.rest.resource_versionless_id
  role_definition_name = "Key Vault Crypto Service Encryption User"
  principal_id         = azurerm_user_assigned_identity.rest.principal_id
}

ephemeral "random_password" "made" {
  for_each = local.made
  length   = 48
  special  = false
}

# a second region has the first's: with other ones no key that is stored and no session would be valid there
ephemeral "azurerm_key_vault_secret" "first" {
  for_each     = var.copy_of == null ? toset([]) : local.made
  name         = each.key
  key_vault_id = var.copy_of
}

resource "azurerm_key_vault_secret" "made" {
  for_each         = local.made
  name             = each.key
  key_vault_id     = azurerm_key_vault.this.id
  value_wo         = var.copy_of == null ? ephemeral.random_password.made[each.key].result : ephemeral.azurerm_key_vault_secret.first[each.key].value
  value_wo_version = var.generation
  content_type     = "text/plain"
  expiration_date  = var.keys_expire
  tags             = var.tags
  depends_on       = [azurerm_role_assignment.operators, azurerm_private_endpoint.this]
}
