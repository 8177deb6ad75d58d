# Who may do what: the platform itself, by its service account, and what delivers it. Nobody has a key.

locals {
  accounts = { platform = "system:serviceaccount:genai:genai", certificates = "system:serviceaccount:cert-manager:cert-manager" }
  roles = merge(
    {
      files   = { scope = var.storage_account_id, role = "Storage Blob Data Contributor" }
      secrets = { scope = var.vault_id, role = "Key Vault Secrets User" }
      tenants = { scope = var.tenants_key_id, role = "Key Vault Crypto User" }
    },
    { for name, account in var.model_accounts : "models-${name}" => { scope = account, role = "Cognitive Services OpenAI User" } },
  )
}

resource "azurerm_user_assigned_identity" "account" {
  for_each            = local.accounts
  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "account" {
  for_each            = local.accounts
  name                = each.key
  resource_group_name = var.resource_group
  parent_id           = azurerm_user_assigned_identity.account[each.key].id
  issuer              = var.issuer
  audience            = ["api://AzureADTokenExchange"]
  subject             = each.value
}

resource "azurerm_role_assignment" "platform" {
  for_each             = local.roles
  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.account["platform"].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "certificates" {
  scope                = var.dns_zone_id
  role_definition_name = "DNS Zone Contributor"
  principal_id         = azurerm_user_assigned_identity.account["certificates"].principal_id
  principal_type       = "ServicePrincipal"
}

# GitHub's workflows: jobs of one environment of one repository may push images, and nothing else

resource "azurerm_user_assigned_identity" "delivery" {
  count               = var.repository == null ? 0 : 1
  name                = "${var.name}-delivery"
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "delivery" {
  count               = var.repository == null ? 0 : 1
  name                = "github"
  resource_group_name = var.resource_group
  parent_id           = azurerm_user_assigned_identity.delivery[0].id
  issuer              = "https://token.actions.githubusercontent.com"
  audience            = ["api://AzureADTokenExchange"]
  subject             = "repo:${var.repository}:environment:${var.environment}"
}

resource "azurerm_role_assignment" "delivery" {
  count                = var.repository == null ? 0 : 1
  scope                = var.registry_id
  role_definition_name = "AcrPush"
  principal_id         = azurerm_user_assigned_identity.delivery[0].principal_id
  principal_type       = "ServicePrincipal"
}
