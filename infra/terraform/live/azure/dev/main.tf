# Azure, dev: a subscription, a state, keys and a network of its own. Nothing here is shared with another environment.

locals {
  subscription_id = "a0d3e001-0000-4000-8000-00000000d001"
  environment     = "dev"
  name            = "genai-dev"
  domain          = "genai.dev.example.com"
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
  source               = "../../../modules/azure/platform"
  name                 = local.name
  environment          = local.environment
  location             = "westeurope"
  tags                 = local.tags
  cidr                 = "10.40.0.0/16"
  dns_zone             = { id = azurerm_dns_zone.this.id, name = azurerm_dns_zone.this.name, resource_group = azurerm_resource_group.front.name }
  front_door_guid      = module.front.guid
  administrator_groups = ["a1a1a1a1-0000-4000-8000-000000000001"]
  nodes                = { size = "Standard_D4ds_v5", least = 1, most = 3 }
  gateway              = { least = 1, most = 2 }
  database             = { sku = "GP_Standard_D2ds_v5", storage_gb = 64, zone_redundant = false, geo_backup = false, backup_days = 7 }
  cache                = { sku = "Balanced_B3", high_availability = false }
  keys_expire          = "2028-01-01T00:00:00Z"
  operator_addresses   = var.operator_addresses
  emails               = local.emails
  repository           = "example/genai-platform"
}

module "front" {
  source           = "../../../modules/azure/front"
  name             = local.name
  resource_group   = azurerm_resource_group.front.name
  tags             = local.tags
  domain           = local.domain
  dns_zone         = { id = azurerm_dns_zone.this.id, name = azurerm_dns_zone.this.name, resource_group = azurerm_resource_group.front.name }
  origins          = { first = module.platform.gateway }
  log_workspace_id = module.platform.log_workspace_id
}

module "budget" {
  source          = "../../../modules/azure/budget"
  name            = local.name
  subscription_id = local.subscription_id
  monthly         = 500
  begins          = "2027-01-01T00:00:00Z"
  emails          = local.emails
}
