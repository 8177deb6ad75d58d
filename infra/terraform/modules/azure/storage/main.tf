# The storage account of originals and extracted texts: no keys, no public way, copied to the second region where there is one.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:it holds no queues
  #checkov:skip=CKV_AZURE_206:it is in three zones, and its objects are copied to an account in the second region
  name                              = var.account_name
  resource_group_name               = var.resource_group
  location                          = var.location
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = "ZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  public_network_access_enabled     = false
  infrastructure_encryption_enabled = true
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  tags                              = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.rest_identity_id]
  }

  customer_managed_key {
    key_vault_key_id          = var.rest_key_id
    user_assigned_identity_id = var.rest_identity_id
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }

  blob_properties {
    versioning_enabled  = true
    change_feed_enabled = true
    delete_retention_policy {
      days = var.former_versions_days
    }
    container_delete_retention_policy {
      days = var.former_versions_days
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "files" {
  #checkov:skip=CKV2_AZURE_21:who has read which document is in the platform's own audit log
  name                  = "files"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# what a tenant erases is gone for good once its former versions are
resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id
  rule {
    name    = "former-versions"
    enabled = true
    filters {
      blob_types = ["blockBlob"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.former_versions_days
      }
    }
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-files"
  resource_group_name = var.resource_group
  location            = var.location
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "files"
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "blob"
    private_dns_zone_ids = [var.zone_id]
  }
}

resource "azurerm_storage_object_replication" "this" {
  count                          = var.replicated ? 1 : 0
  source_storage_account_id      = azurerm_storage_account.this.id
  destination_storage_account_id = var.replica_account_id
  rules {
    source_container_name      = azurerm_storage_container.files.name
    destination_container_name = "files"
    copy_blobs_created_after   = "Everything"
  }
}
