output "region" {
  description = "The region."
  value       = local.region
}

output "origin" {
  description = "The load balancer for DNS; null until there is one."
  value       = local.by_ecs ? { dns_name = module.load_balancer[0].dns_name, zone_id = module.load_balancer[0].zone_id } : one([for found in data.aws_lb.ingress : { dns_name = found.dns_name, zone_id = found.zone_id }])
}

output "logs_bucket" {
  description = "Bucket of access logs."
  value       = module.storage.logs_bucket
}

output "bucket_arn" {
  description = "Bucket of files."
  value       = module.storage.bucket_arn
}

output "rest_key_arn" {
  description = "Key of what is at rest."
  value       = module.keys.rest_arn
}

output "tenants_key_arn" {
  description = "Key that wraps tenants' keys."
  value       = module.keys.tenants_arn
}

output "secret_arns" {
  description = "Secrets that were made here."
  value       = var.second ? {} : module.secrets[0].arns
}

output "database" {
  description = "The database, for a second region."
  value = {
    database_arn = module.database.arn
    endpoint     = module.database.endpoint
    url_secret   = module.database.url_secret_arn
    region       = local.region
  }
}

output "deployment" {
  description = "What infra/k8s, the workflows and operators are told."
  value = {
    cluster                  = local.by_ecs ? module.ecs[0].cluster_name : module.cluster[0].name
    image                    = local.registry_url
    GENAI_FILES_URL          = "s3://${module.storage.bucket}/files"
    GENAI_ENCRYPTION__KEY_ID = module.keys.tenants_alias
    GENAI_PROXIES__TRUSTED   = jsonencode(local.proxies)
    workload_roles           = module.identity.workload_role_arns
    delivery_role            = module.identity.delivery_role_arn
    certificate              = module.certificate.arn
    firewall                 = module.firewall.arn
    metrics                  = module.observability.endpoint
  }
}
