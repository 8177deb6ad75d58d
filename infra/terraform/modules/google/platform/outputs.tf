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
  description = "What the workflows and operators are told; `image`, `values` and `settings` are an overlay's of infra/k8s."
  value = {
    cluster           = module.cluster.name
    network           = module.network.network_name
    service_accounts  = module.identity.service_accounts
    delivery_account  = module.identity.delivery_account
    delivery_provider = module.identity.delivery_provider
    image             = "${local.registry.location}-docker.pkg.dev/${var.project}/${local.registry.name}/genai-platform"
    values = {
      host                = var.domain
      contact             = var.emails[0]
      network             = var.cidr
      balancers           = local.front_ends[0]
      identity            = module.identity.service_accounts["app"]
      project             = var.project
      region              = var.region
      cluster             = module.cluster.name
      zone                = var.dns_zone
      endpoints           = var.load_balancer.endpoints
      secret-database-url = module.database.secret_names["genai-database-url"]
      secret-redis-url    = module.cache.secret_name
      secret-authorities  = module.database.secret_names["genai-authorities"]
    }
    argocd = { certificate-identity = module.identity.service_accounts["certs"] }
    settings = {
      GOOGLE_CLOUD_PROJECT     = var.project
      GOOGLE_CLOUD_LOCATION    = var.region
      GENAI_ENCRYPTION__KEY_ID = local.tenants_key
      GENAI_FILES_URL          = "gs://${local.bucket}/files"
      GENAI_PROXIES__TRUSTED   = jsonencode(concat(local.front_ends, ["${var.load_balancer.address}/32"]))
      GENAI_PUBLIC_URL         = "https://${var.domain}"
    }
  }
}
