# The image of the platform, in every region that runs it.

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_164:images are signed with cosign; Docker Content Trust has ended
  #checkov:skip=CKV_AZURE_166:the image is scanned and signed by the workflow that builds it; quarantine would hold it back a second time
  name                          = var.registry_name
  resource_group_name           = var.resource_group
  location                      = var.location
  sku                           = "Premium"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = false
  zone_redundancy_enabled       = true
  retention_policy_in_days      = 14
  data_endpoint_enabled         = true
  trust_policy_enabled          = false
  export_policy_enabled         = false
  tags                          = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.rest_identity.id]
  }

  encryption {
    key_vault_key_id   = var.rest_key_id
    identity_client_id = var.rest_identity.client_id
  }

  dynamic "georeplications" {
    for_each = var.replica_locations
    content {
      location                = georeplications.value
      zone_redundancy_enabled = true
      tags                    = var.tags
    }
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-registry"
  resource_group_name = var.resource_group
  location            = var.location
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "registry"
    private_connection_resource_id = azurerm_container_registry.this.id
    subresource_names              = ["registry"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "registry"
    private_dns_zone_ids = [var.zone_id]
  }
}
