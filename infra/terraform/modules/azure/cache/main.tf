# Azure Managed Redis: limits, budgets, queues and kept answers. It evicts nothing, since what it holds is counted on.

resource "azurerm_managed_redis" "this" {
  name                      = var.name
  resource_group_name       = var.resource_group
  location                  = var.location
  sku_name                  = var.sku
  high_availability_enabled = var.high_availability
  public_network_access     = "Disabled"
  tags                      = var.tags

  default_database {
    access_keys_authentication_enabled          = true
    client_protocol                             = "Encrypted"
    clustering_policy                           = "NoCluster"
    eviction_policy                             = "NoEviction"
    persistence_redis_database_backup_frequency = "1h"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.rest_identity_id]
  }

  customer_managed_key {
    key_vault_key_id          = var.rest_key_id
    user_assigned_identity_id = var.rest_identity_id
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-cache"
  resource_group_name = var.resource_group
  location            = var.location
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "cache"
    private_connection_resource_id = azurerm_managed_redis.this.id
    subresource_names              = ["redisEnterprise"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "cache"
    private_dns_zone_ids = [var.zone_id]
  }
}

resource "azurerm_key_vault_secret" "url" {
  name             = "genai-redis-url"
  key_vault_id     = var.vault_id
  value_wo         = "rediss://:${urlencode(azurerm_managed_redis.this.default_database[0].primary_access_key)}@${azurerm_managed_redis.this.hostname}:${azurerm_managed_redis.this.default_database[0].port}/0"
  value_wo_version = var.generation
  content_type     = "text/plain"
  expiration_date  = var.keys_expire
  tags             = var.tags
}
