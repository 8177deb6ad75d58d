output "location" {
  description = "The region."
  value       = var.location
}

output "gateway" {
  description = "Name of the gateway that Front Door asks."
  value       = module.gateway.host_name
}

output "log_workspace_id" {
  description = "Workspace of logs."
  value       = module.observability.log_workspace_id
}

output "storage_account_id" {
  description = "Account of files."
  value       = module.storage.account_id
}

output "resource_group" {
  description = "Resource group."
  value       = azurerm_resource_group.this.name
}

output "tenants_key_id" {
  description = "Key that wraps tenants' keys."
  value       = local.key
}

output "tenants_key_resource_id" {
  description = "The same as role assignments name it."
  value       = local.key_scope
}

output "registry_id" {
  description = "The registry."
  value       = local.registry_id
}

output "database" {
  description = "The database, for a second region."
  value = {
    server_id = module.database.id
    fqdn      = module.database.fqdn
    vault_id  = module.vault.id
  }
}

output "image" {
  description = "Where the image is pushed to and pulled from, in every region."
  value       = local.image
}

output "deployment" {
  description = "What the workflows and operators are told; `image`, `values` and `settings` are an overlay's of infra/k8s."
  value = {
    cluster         = module.cluster.name
    clients         = module.identity.client_ids
    delivery_client = module.identity.delivery_client_id
    metrics         = module.observability.metrics_endpoint
    image           = local.image
    values = {
      host         = var.dns_zone.name
      contact      = var.emails[0]
      network      = var.cidr
      balancers    = local.gateways
      client       = module.identity.client_ids["platform"]
      tenant       = data.azurerm_client_config.current.tenant_id
      vault        = trimsuffix(module.vault.uri, "/")
      subscription = data.azurerm_client_config.current.subscription_id
      zone         = var.dns_zone.name
      zone-group   = var.dns_zone.resource_group
      zone-client  = module.identity.client_ids["certificates"]
    }
    settings = {
      AZURE_STORAGE_ACCOUNT_NAME = module.storage.account_name
      GENAI_ENCRYPTION__KEY_ID   = trimsuffix(local.key, "/")
      GENAI_FILES_URL            = "az://${module.storage.container}/files"
      GENAI_PROXIES__TRUSTED     = jsonencode(concat([local.gateways], data.azurerm_network_service_tags.front_door.address_prefixes))
      GENAI_PUBLIC_URL           = "https://${var.dns_zone.name}"
    }
  }
}
