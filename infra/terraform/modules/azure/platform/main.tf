# All of the platform in one region. `second` makes it the second region of another: its database follows the first's, its files are
# copies, and the tenants' key stays in the first region's vault, which Azure answers for from the paired region when it is away.

data "azurerm_client_config" "current" {}

# a caller's address is behind the gateway's and Front Door's
data "azurerm_network_service_tags" "front_door" {
  location = var.location
  service  = "AzureFrontDoor.Backend"
}

locals {
  gateways    = cidrsubnet(var.cidr, 8, 0)
  name        = var.second ? "${var.name}-second" : var.name
  short       = replace(local.name, "-", "")
  key         = var.second ? var.first_tenants_key_id : module.vault.tenants_key_id
  key_scope   = var.second ? var.first_tenants_key_resource_id : module.vault.tenants_key_resource_id
  registry_id = var.second ? var.first_registry_id : module.registry[0].id
  image       = var.second ? var.first_image : "${module.registry[0].address}/genai-platform"
}

resource "azurerm_resource_group" "this" {
  name     = local.name
  location = var.location
  tags     = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

module "network" {
  source         = "../network"
  name           = local.name
  resource_group = azurerm_resource_group.this.name
  location       = var.location
  tags           = var.tags
  cidr           = var.cidr
}

module "vault" {
  source             = "../vault"
  name               = local.name
  resource_group     = azurerm_resource_group.this.name
  location           = var.location
  tags               = var.tags
  vault_name         = "${substr(local.short, 0, 18)}${substr(data.azurerm_client_config.current.subscription_id, 0, 6)}"
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  zone_id            = module.network.zone_ids["vault"]
  operator_addresses = var.operator_addresses
  keys_expire        = var.keys_expire
  generation         = var.secrets_generation
  copy_of            = var.second ? var.first_database.vault_id : null
}

module "database" {
  source           = "../database"
  name             = local.name
  resource_group   = azurerm_resource_group.this.name
  location         = var.location
  tags             = var.tags
  sku              = var.database.sku
  storage_gb       = var.database.storage_gb
  zone_redundant   = var.database.zone_redundant
  geo_backup       = var.database.geo_backup
  backup_days      = var.database.backup_days
  subnet_id        = module.network.subnet_ids["database"]
  zone_id          = module.network.zone_ids["database"]
  vault_id         = module.vault.id
  rest_key_id      = module.vault.rest_key_id
  rest_identity_id = module.vault.rest_identity.id
  keys_expire      = var.keys_expire
  generation       = var.secrets_generation
  replica_of       = var.second ? var.first_database : null
  promoted         = var.promoted
}

module "cache" {
  source             = "../cache"
  name               = local.name
  resource_group     = azurerm_resource_group.this.name
  location           = var.location
  tags               = var.tags
  sku                = var.cache.sku
  high_availability  = var.cache.high_availability
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  zone_id            = module.network.zone_ids["cache"]
  vault_id           = module.vault.id
  rest_key_id        = module.vault.rest_key_id
  rest_identity_id   = module.vault.rest_identity.id
  keys_expire        = var.keys_expire
  generation         = var.secrets_generation
}

module "storage" {
  source             = "../storage"
  name               = local.name
  resource_group     = azurerm_resource_group.this.name
  location           = var.location
  tags               = var.tags
  account_name       = "${substr(local.short, 0, 18)}${substr(data.azurerm_client_config.current.subscription_id, 0, 6)}"
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  zone_id            = module.network.zone_ids["blob"]
  rest_key_id        = module.vault.rest_key_id
  rest_identity_id   = module.vault.rest_identity.id
  replicated         = var.replicated
  replica_account_id = var.replicated ? var.replica_storage_account_id : null
}

module "registry" {
  count              = var.second ? 0 : 1
  source             = "../registry"
  name               = local.name
  resource_group     = azurerm_resource_group.this.name
  location           = var.location
  tags               = var.tags
  registry_name      = "${local.short}${substr(data.azurerm_client_config.current.subscription_id, 0, 6)}"
  replica_locations  = var.replicated ? [var.replica_location] : []
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  zone_id            = module.network.zone_ids["registry"]
  rest_key_id        = module.vault.rest_key_id
  rest_identity      = { id = module.vault.rest_identity.id, client_id = module.vault.rest_identity.client_id }
}

module "gateway" {
  source           = "../gateway"
  name             = local.name
  resource_group   = azurerm_resource_group.this.name
  location         = var.location
  tags             = var.tags
  subnet_id        = module.network.subnet_ids["gateway"]
  front_door_guid  = var.front_door_guid
  least            = var.gateway.least
  most             = var.gateway.most
  log_workspace_id = module.observability.log_workspace_id
}

module "cluster" {
  source               = "../cluster"
  name                 = local.name
  resource_group       = azurerm_resource_group.this.name
  location             = var.location
  tags                 = var.tags
  kubernetes_version   = var.kubernetes_version
  node_size            = var.nodes.size
  least_nodes          = var.nodes.least
  most_nodes           = var.nodes.most
  administrator_groups = var.administrator_groups
  network_id           = module.network.network_id
  subnet_id            = module.network.subnet_ids["nodes"]
  gateway_id           = module.gateway.id
  gateway_subnet_id    = module.network.subnet_ids["gateway"]
  registry_id          = local.registry_id
  log_workspace_id     = module.observability.log_workspace_id
  rest_key_id          = module.vault.rest_key_id
  rest_identity_id     = module.vault.rest_identity.id
}

module "observability" {
  source         = "../observability"
  name           = local.name
  resource_group = azurerm_resource_group.this.name
  location       = var.location
  tags           = var.tags
  emails         = var.emails
  cluster_id     = module.cluster.id
  cluster_name   = module.cluster.name
  database_id    = module.database.id
  cache_id       = module.cache.id
}

module "identity" {
  source             = "../identity"
  name               = local.name
  resource_group     = azurerm_resource_group.this.name
  location           = var.location
  tags               = var.tags
  environment        = var.environment
  issuer             = module.cluster.issuer
  storage_account_id = module.storage.account_id
  vault_id           = module.vault.id
  tenants_key_id     = local.key_scope
  registry_id        = local.registry_id
  dns_zone_id        = var.dns_zone.id
  model_accounts     = var.model_accounts
  repository         = var.second ? null : var.repository
}

# the first region's vault and registry are reached from this region's network as well
resource "azurerm_private_endpoint" "first" {
  for_each            = var.second ? { vault = var.first_database.vault_id, registry = var.first_registry_id } : {}
  name                = "${local.name}-first-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  subnet_id           = module.network.subnet_ids["endpoints"]
  tags                = var.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = each.key
    private_dns_zone_ids = [module.network.zone_ids[each.key]]
  }
}
