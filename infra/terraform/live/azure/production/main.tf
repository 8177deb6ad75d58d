# Azure, production: a subscription, a state, keys and a network of its own. Nothing here is shared with another environment.

locals {
  subscription_id = "c0940001-0000-4000-8000-00000000d003"
  environment     = "production"
  name            = "genai-production"
  domain          = "genai.example.com"
  emails          = ["platform@example.com"]
  tags            = { product = "genai-platform", environment = local.environment, managed-by = "terraform", cost-centre = "platform" }
}

resource "azurerm_resource_group" "front" {
  name     = "${local.name}-front"
  location = "westeurope"
  tags     = local.tags
}

# the domain is a zone of its own, which the zone above delegates to
resource "azurerm_dns_zone" "this" {
  name                = local.domain
  resource_group_name = azurerm_resource_group.front.name
  tags                = local.tags
}

module "platform" {
  source                     = "../../../modules/azure/platform"
  name                       = local.name
  environment                = local.environment
  location                   = "westeurope"
  tags                       = local.tags
  cidr                       = "10.60.0.0/16"
  dns_zone                   = { id = azurerm_dns_zone.this.id, name = azurerm_dns_zone.this.name, resource_group = azurerm_resource_group.front.name }
  front_door_guid            = module.front.guid
  administrator_groups       = ["a3a3a3a3-0000-4000-8000-000000000003"]
  nodes                      = { size = "Standard_D8ds_v5", least = 3, most = 30 }
  gateway                    = { least = 2, most = 20 }
  database                   = { sku = "MO_Standard_E4ds_v5", storage_gb = 256, zone_redundant = true, geo_backup = true, backup_days = 35 }
  cache                      = { sku = "Balanced_B10", high_availability = true }
  keys_expire                = "2028-01-01T00:00:00Z"
  operator_addresses         = var.operator_addresses
  emails                     = local.emails
  repository                 = "example/genai-platform"
  replicated                 = true
  replica_location           = module.second.location
  replica_storage_account_id = module.second.storage_account_id
}

# the second region, the pair of the first: copies of everything that is kept, and as few nodes as answer a health check
module "second" {
  source                        = "../../../modules/azure/platform"
  name                          = local.name
  environment                   = local.environment
  location                      = "northeurope"
  tags                          = local.tags
  cidr                          = "10.61.0.0/16"
  dns_zone                      = { id = azurerm_dns_zone.this.id, name = azurerm_dns_zone.this.name, resource_group = azurerm_resource_group.front.name }
  front_door_guid               = module.front.guid
  administrator_groups          = ["a3a3a3a3-0000-4000-8000-000000000003"]
  nodes                         = { size = "Standard_D8ds_v5", least = 1, most = 30 }
  gateway                       = { least = 2, most = 20 }
  database                      = { sku = "MO_Standard_E4ds_v5", storage_gb = 256, zone_redundant = false, geo_backup = false, backup_days = 35 }
  cache                         = { sku = "Balanced_B10", high_availability = true }
  keys_expire                   = "2028-01-01T00:00:00Z"
  operator_addresses            = var.operator_addresses
  emails                        = local.emails
  second                        = true
  first_tenants_key_id          = module.platform.tenants_key_id
  first_tenants_key_resource_id = module.platform.tenants_key_resource_id
  first_registry_id             = module.platform.registry_id
  first_image                   = module.platform.image
  first_database                = module.platform.database
  promoted                      = var.second_promoted
}

module "front" {
  source           = "../../../modules/azure/front"
  name             = local.name
  resource_group   = azurerm_resource_group.front.name
  tags             = local.tags
  domain           = local.domain
  dns_zone         = { id = azurerm_dns_zone.this.id, name = azurerm_dns_zone.this.name, resource_group = azurerm_resource_group.front.name }
  origins          = { first = module.platform.gateway, second = module.second.gateway }
  log_workspace_id = module.platform.log_workspace_id
}

module "budget" {
  source          = "../../../modules/azure/budget"
  name            = local.name
  subscription_id = local.subscription_id
  monthly         = 15000
  begins          = "2027-01-01T00:00:00Z"
  emails          = local.emails
}
