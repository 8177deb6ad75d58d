# All of the platform in one region. `second` makes it the second region of another: its database follows the first's, its secrets,
# images and the tenants' key are copies, and it waits with as few servers as it is given.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

# a caller's address is behind the load balancer's and CloudFront's
data "aws_ip_ranges" "cloudfront" {
  regions  = ["global"]
  services = ["cloudfront_origin_facing"]
}

locals {
  name         = var.second ? "${var.name}-second" : var.name
  region       = data.aws_region.current.region
  account      = data.aws_caller_identity.current.account_id
  proxies      = concat([var.cidr], data.aws_ip_ranges.cloudfront.cidr_blocks)
  by_ecs       = var.compute == "ecs"
  registry_arn = var.second ? "arn:aws:ecr:${local.region}:${local.account}:repository/genai-platform" : module.registry[0].repository_arn
  registry_url = var.second ? "${local.account}.dkr.ecr.${local.region}.amazonaws.com/genai-platform" : module.registry[0].repository_url
  secrets = merge(
    var.second ? { for name, arn in var.first_secret_arns : name => replace(arn, var.first_region, local.region) } : module.secrets[0].arns,
    { genai-database-url = module.database.url_secret_arn, genai-redis-url = module.cache.url_secret_arn },
  )
  clients = local.by_ecs ? { tasks = module.ecs[0].security_group_id } : { cluster = module.cluster[0].security_group_id }
}

module "keys" {
  source          = "../keys"
  name            = local.name
  tenants_alias   = var.name
  second          = var.second
  primary_key_arn = var.second ? var.first_tenants_key_arn : null
}

module "network" {
  source          = "../network"
  name            = local.name
  cidr            = var.cidr
  zones           = var.zones
  one_nat_gateway = var.one_nat_gateway
  kms_key_arn     = module.keys.rest_arn
}

module "secrets" {
  count           = var.second ? 0 : 1
  source          = "../secrets"
  by_hand         = var.secrets_by_hand
  generation      = var.secrets_generation
  kms_key_arn     = module.keys.rest_arn
  replica_regions = var.replicated ? { (var.replica_region) = var.replica_key_arn } : {}
}

module "storage" {
  source      = "../storage"
  name        = local.name
  bucket      = "${local.name}-${local.account}"
  kms_key_arn = module.keys.rest_arn
  replica     = var.replicated ? { bucket_arn = var.replica_bucket_arn, kms_key_arn = var.replica_key_arn } : null
}

module "registry" {
  count           = var.second ? 0 : 1
  source          = "../registry"
  kms_key_arn     = module.keys.rest_arn
  replica_regions = var.replicated ? [var.replica_region] : []
}

module "database" {
  source                 = "../database"
  name                   = local.name
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.data_subnet_ids
  client_security_groups = local.clients
  instance_class         = var.database.instance_class
  storage_gb             = var.database.storage_gb
  multi_az               = var.database.multi_az
  backup_days            = var.database.backup_days
  generation             = var.secrets_generation
  kms_key_arn            = module.keys.rest_arn
  replica_of             = var.second && !var.promoted ? var.first_database : null
}

module "cache" {
  source                 = "../cache"
  name                   = local.name
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.data_subnet_ids
  client_security_groups = local.clients
  node_type              = var.cache.node_type
  nodes                  = var.cache.nodes
  snapshot_days          = var.cache.snapshot_days
  generation             = var.secrets_generation
  kms_key_arn            = module.keys.rest_arn
}

module "observability" {
  source         = "../observability"
  name           = local.name
  emails         = var.emails
  database       = module.database.identifier
  follows        = var.second
  cache          = module.cache.first_node
  load_balancers = local.by_ecs ? { load-balancer = module.load_balancer[0].arn_suffix } : {}
  kms_key_arn    = module.keys.rest_arn
}

module "identity" {
  source                = "../identity"
  name                  = local.name
  environment           = var.environment
  bucket_arn            = module.storage.bucket_arn
  rest_key_arn          = module.keys.rest_arn
  tenants_key_arn       = module.keys.tenants_arn
  secret_arns           = values(local.secrets)
  model_arns            = var.model_arns
  metrics_workspace_arn = module.observability.workspace_arn
  zone_id               = var.zone_id
  registry_arn          = local.registry_arn
  kubernetes            = !local.by_ecs
  workload_issuer       = local.by_ecs ? null : module.cluster[0].issuer
  workload_provider_arn = local.by_ecs ? null : module.cluster[0].provider_arn
  repository            = var.second ? null : var.repository
}

module "certificate" {
  source      = "../certificate"
  domain      = var.domain
  other_names = ["origin.${var.domain}"]
  zone_id     = var.zone_id
}

module "firewall" {
  source      = "../firewall"
  name        = local.name
  scope       = "REGIONAL"
  kms_key_arn = module.keys.rest_arn
}

module "cluster" {
  count              = local.by_ecs ? 0 : 1
  source             = "../cluster"
  name               = local.name
  kubernetes_version = var.kubernetes_version
  subnet_ids         = module.network.private_subnet_ids
  administrators     = var.administrators
  kms_key_arn        = module.keys.rest_arn
}

module "load_balancer" {
  count           = local.by_ecs ? 1 : 0
  source          = "../load_balancer"
  name            = local.name
  vpc_id          = module.network.vpc_id
  cidr            = var.cidr
  subnet_ids      = module.network.public_subnet_ids
  certificate_arn = module.certificate.arn
  firewall_arn    = module.firewall.arn
  logs_bucket     = module.storage.logs_bucket
}

module "ecs" {
  count          = local.by_ecs ? 1 : 0
  source         = "../ecs"
  name           = local.name
  image          = "${local.registry_url}:${var.image_tag}"
  domain         = var.domain
  vpc_id         = module.network.vpc_id
  cidr           = var.cidr
  proxy_networks = local.proxies
  subnet_ids     = module.network.private_subnet_ids
  load_balancer = {
    security_group_id = module.load_balancer[0].security_group_id
    target_group_arn  = module.load_balancer[0].target_group_arn
    request_label     = module.load_balancer[0].request_label
  }
  bucket                = module.storage.bucket
  tenants_alias         = module.keys.tenants_alias
  kms_key_arn           = module.keys.rest_arn
  registry_arn          = local.registry_arn
  platform_policy_arn   = module.identity.platform_policy_arn
  metrics_workspace_arn = module.observability.workspace_arn
  metrics_endpoint      = module.observability.endpoint
  secrets = {
    GENAI_ADMIN_KEY      = local.secrets["genai-admin-key"]
    GENAI_SECRET_KEY     = local.secrets["genai-secret-key"]
    GENAI_METRICS__TOKEN = local.secrets["genai-metrics-token"]
    GENAI_DATABASE_URL   = module.database.url_secret_arn
    GENAI_REDIS_URL      = module.cache.url_secret_arn
  }
  settings = var.settings
  server   = var.server
  worker   = var.worker
}

# on Kubernetes the load balancer is the Ingress's, made by EKS when Argo CD has brought it; its name is the overlay's `balancer`
data "aws_lb" "ingress" {
  count = local.by_ecs || !var.ingress_stands ? 0 : 1
  name  = local.name
}
