# All of the platform in one region. `first` makes it the second region of another: its database follows the first's; the bucket of files
# and the registry span both regions, and the tenants' key a continent.

locals {
  second = var.first != null
  name   = local.second ? "${var.name}-second" : var.name
  # a secret is kept in every region that has a key for it
  locations   = merge({ (var.region) = module.keys.rest_id }, var.replica == null ? {} : { (var.replica.region) = var.replica.key_id })
  own         = { (var.region) = module.keys.rest_id }
  registry    = local.second ? var.first.registry : { location = module.registry[0].location, name = module.registry[0].name }
  bucket      = local.second ? var.first.bucket : module.storage[0].bucket
  tenants_key = local.second ? var.first.tenants_key_id : module.keys.tenants_id
  made        = { for name in ["genai-admin-key", "genai-secret-key", "genai-metrics-token"] : name => local.second ? var.first.secret_ids[name] : module.secrets[0].ids[name] }
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
  second           = local.second
  tenants_location = var.tenants_location
}

module "secrets" {
  count      = local.second ? 0 : 1
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
  replica_of        = local.second ? var.first.database : null
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
  second      = local.second
  generation  = var.secrets_generation
}

module "storage" {
  count        = local.second ? 0 : 1
  source       = "../storage"
  bucket       = var.bucket
  region       = var.region
  both_regions = var.replica == null ? [] : [upper(var.region), upper(var.replica.region)]
  rest_key_id  = module.keys.rest_id
}

module "registry" {
  count       = local.second ? 0 : 1
  source      = "../registry"
  name        = var.name
  location    = var.replica == null ? var.region : var.tenants_location
  rest_key_id = var.replica == null ? module.keys.rest_id : null
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
  repository     = local.second ? null : var.repository
}

module "observability" {
  source         = "../observability"
  name           = local.name
  project        = var.project
  region         = var.region
  emails         = var.emails
  database       = module.database.instance
  cache          = module.cache.instance
  watched_domain = local.second ? null : var.domain
}
