# PostgreSQL with pgvector, in a subnet of its own; in a second region it is a replica, whose secret names the replica's address.

ephemeral "random_password" "owner" {
  length  = 40
  special = false
}

resource "azurerm_postgresql_flexible_server" "this" {
  #checkov:skip=CKV2_AZURE_57:it is in a subnet of the network itself, which excludes private endpoints
  name                              = var.name
  resource_group_name               = var.resource_group
  location                          = var.location
  create_mode                       = var.replica_of == null ? "Default" : "Replica"
  source_server_id                  = var.replica_of == null ? null : var.replica_of.server_id
  replication_role                  = var.promoted ? "None" : null
  version                           = var.replica_of == null ? "17" : null
  sku_name                          = var.sku
  storage_mb                        = var.storage_gb * 1024
  auto_grow_enabled                 = true
  administrator_login               = var.replica_of == null ? "genai" : null
  administrator_password_wo         = var.replica_of == null ? ephemeral.random_password.owner.result : null
  administrator_password_wo_version = var.replica_of == null ? var.generation : null
  delegated_subnet_id               = var.subnet_id
  private_dns_zone_id               = var.zone_id
  public_network_access_enabled     = false
  backup_retention_days             = var.backup_days
  geo_redundant_backup_enabled      = var.replica_of == null && var.geo_backup
  zone                              = "1"
  tags                              = var.tags

  dynamic "high_availability" {
    for_each = var.replica_of == null && var.zone_redundant ? ["2"] : []
    content {
      mode                      = "ZoneRedundant"
      standby_availability_zone = high_availability.value
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.rest_identity_id]
  }

  customer_managed_key {
    key_vault_key_id                  = var.rest_key_id
    primary_user_assigned_identity_id = var.rest_identity_id
  }

  maintenance_window {
    day_of_week  = 0
    start_hour   = 2
    start_minute = 30
  }

  lifecycle {
    # after a failover between zones the first one is the other
    ignore_changes  = [zone, high_availability[0].standby_availability_zone]
    prevent_destroy = true
  }
}

resource "azurerm_postgresql_flexible_server_configuration" "this" {
  for_each  = { "azure.extensions" = "VECTOR", "require_secure_transport" = "on", "ssl_min_protocol_version" = "TLSv1.2", "log_checkpoints" = "on", "connection_throttle.enable" = "on" }
  name      = each.key
  server_id = azurerm_postgresql_flexible_server.this.id
  value     = each.value
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  count     = var.replica_of == null ? 1 : 0
  name      = "genai"
  server_id = azurerm_postgresql_flexible_server.this.id
  charset   = "UTF8"
  collation = "en_US.utf8"

  lifecycle {
    prevent_destroy = true
  }
}

ephemeral "azurerm_key_vault_secret" "first" {
  count        = var.replica_of == null ? 0 : 1
  name         = "genai-database-url"
  key_vault_id = var.replica_of.vault_id
}

resource "azurerm_key_vault_secret" "url" {
  name             = "genai-database-url"
  key_vault_id     = var.vault_id
  value_wo         = var.replica_of == null ? "postgresql://genai:${ephemeral.random_password.owner.result}@${azurerm_postgresql_flexible_server.this.fqdn}:5432/genai" : replace(ephemeral.azurerm_key_vault_secret.first[0].value, var.replica_of.fqdn, azurerm_postgresql_flexible_server.this.fqdn)
  value_wo_version = var.generation
  content_type     = "text/plain"
  expiration_date  = var.keys_expire
  tags             = var.tags
}
