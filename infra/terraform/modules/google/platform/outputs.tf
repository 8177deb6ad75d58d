output "region" {
  description = "The region."
  value       = var.region
}

output "rest_key_id" {
  description = "Key of what is at rest."
  value       = module.keys.rest_id
}

output "channels" {
  description = "Who is told."
  value       = module.observability.channels
}

output "tenants_key_id" {
  description = "Key that wraps tenants' keys."
  value       = local.tenants_key
}

output "bucket" {
  description = "Bucket of files."
  value       = local.bucket
}

output "secret_ids" {
  description = "Secrets that were made for all regions."
  value       = local.made
}

output "registry" {
  description = "The registry."
  value       = local.registry
}

output "database" {
  description = "The database, for a second region."
  value = {
    instance   = module.database.instance
    address    = module.database.address
    url_secret = module.database.secret_ids["genai-database-url"]
  }
}

output "deployment" {
  description = "What infra/k8s, the workflows and operators are told."
  value = {
    cluster                  = module.cluster.name
    network                  = module.network.network_name
    image                    = "${local.registry.location}-docker.pkg.dev/${var.project}/${local.registry.name}/genai-platform"
    GENAI_FILES_URL          = "gs://${local.bucket}/files"
    GENAI_ENCRYPTION__KEY_ID = local.tenants_key
    service_accounts         = module.identity.service_accounts
    delivery_account         = module.identity.delivery_account
    delivery_provider        = module.identity.delivery_provider
  }
}
