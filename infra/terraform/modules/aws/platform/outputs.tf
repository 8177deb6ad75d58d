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
  description = "What the workflows and operators are told; `image`, `values` and `settings` are an overlay's of infra/k8s."
  value = {
    cluster        = local.by_ecs ? module.ecs[0].cluster_name : module.cluster[0].name
    workload_roles = module.identity.workload_role_arns
    delivery_role  = module.identity.delivery_role_arn
    metrics        = module.observability.endpoint
    image          = local.registry_url
    values = local.by_ecs ? null : {
      host        = var.domain
      contact     = var.emails[0]
      network     = var.cidr
      balancers   = var.cidr
      balancer    = local.name
      controller  = module.cluster[0].ingress_controller
      firewall    = module.firewall.arn
      region      = local.region
      role        = module.identity.workload_role_arns["platform"]
      certificate = module.certificate.arn
      zone        = var.zone_id
    }
    argocd = local.by_ecs ? null : { certificate-role = module.identity.workload_role_arns["certificates"] }
    settings = {
      AWS_REGION               = local.region
      GENAI_ENCRYPTION__KEY_ID = module.keys.tenants_alias
      GENAI_FILES_URL          = "s3://${module.storage.bucket}/files"
      GENAI_PROXIES__TRUSTED   = jsonencode(local.proxies)
      GENAI_PUBLIC_URL         = "https://${var.domain}"
    }
  }
}
