# All of the platform in one region. `second` makes it the second region of another: its database follows the first's; the bucket of files
# and the registry span both regions, and the tenants' key a continent.

locals {
  # where requests and health checks come from, on every load balancer of Google's
  front_ends = ["130.211.0.0/22", "35.191.0.0/16"]
  name       = var.second ? "${var.name}-second" : var.name
  # a secret is kept in every region that has a key for it
  locations   = merge({ (var.region) = module.keys.rest_id }, var.replicated ? { (var.replica_region) = var.replica_key_id } : {})
  own         = { (var.region) = module.keys.rest_id }
  registry    = var.second ? var.first_registry : { location = module.registry[0].location, name = module.registry[0].name }
  bucket      = var.second ? var.first_bucket : module.storage[0].bucket
  tenants_key = var.second ? var.first_tenants_key_id : module.keys.tenants_id
  made        = { for name in ["genai-admin-key", "genai-secret-key", "genai-metrics-token"] : name => var.second ? var.first_secret_ids[name] : module.secrets[0].ids[name] }
}

module "network" {
  source = "../network"
  name   = local.name
  region = var.region
  cidr   = var.cidr
}

module "keys" {
  source           = "../keys"
  name             = local.name
  region           = var.region
  second           = var.second
  tenants_location = var.tenants_location
}

module "secrets" {
  count      = var.second ? 0 : 1
  source     = "../secrets"
  by_hand    = var.secrets_by_hand
  locations  = local.locations
  generation = var.secrets_generation
}

module "database" {
  source            = "../database"
  name              = local.name
  region            = var.region
  tier              = var.database.tier
  storage_gb        = var.database.storage_gb
  regional          = var.database.regional
  backup_days       = var.database.backup_days
  network_id        = module.network.network_id
  rest_key_id       = module.keys.rest_id
  locations         = local.own
  other_authorities = module.cache.authorities
  generation        = var.secrets_generation
  replica_of        = var.second ? var.first_database : null
  promoted          = var.promoted
}

module "cache" {
  source      = "../cache"
  name        = local.name
  region      = var.region
  memory_gb   = var.cache.memory_gb
  standby     = var.cache.standby
  network_id  = module.network.network_id
  rest_key_id = module.keys.rest_id
  locations   = local.own
  second      = var.second
  generation  = var.secrets_generation
}

module "storage" {
  count        = var.second ? 0 : 1
  source       = "../storage"
  bucket       = var.bucket
  region       = var.region
  both_regions = var.replicated ? [upper(var.region), upper(var.replica_region)] : []
  rest_key_id  = module.keys.rest_id
}

module "registry" {
  count       = var.second ? 0 : 1
  source      = "../registry"
  name        = var.name
  location    = var.replicated ? var.tenants_location : var.region
  rest_key_id = var.replicated ? null : module.keys.rest_id
}

module "cluster" {
  source             = "../cluster"
  name               = local.name
  project            = var.project
  region             = var.region
  labels             = var.labels
  kubernetes_version = var.kubernetes_version
  machine_type       = var.nodes.machine_type
  least_nodes        = var.nodes.least
  most_nodes         = var.nodes.most
  most_cores         = var.nodes.most_cores
  network_id         = module.network.network_id
  subnet_id          = module.network.subnet_id
  registry           = local.registry
  rest_key_id        = module.keys.rest_id
}

module "identity" {
  source         = "../identity"
  name           = local.name
  project        = var.project
  environment    = var.environment
  bucket         = local.bucket
  tenants_key_id = local.tenants_key
  secret_ids     = merge(local.made, module.database.secret_ids, { genai-redis-url = module.cache.secret_id })
  dns_zone       = var.dns_zone
  registry       = local.registry
  repository     = var.second ? null : var.repository
}

module "observability" {
  source         = "../observability"
  name           = local.name
  project        = var.project
  region         = var.region
  emails         = var.emails
  database       = module.database.instance
  cache          = module.cache.instance
  watched_domain = var.second ? null : var.domain
}
