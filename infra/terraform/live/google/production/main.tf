# Google Cloud, production: a project, a state, keys and a network of its own. Nothing here is shared with another environment.

locals {
  project     = "example-genai-production"
  environment = "production"
  name        = "genai-production"
  domain      = "genai.example.com"
  emails      = ["platform@example.com"]
  labels      = { product = "genai-platform", environment = local.environment, managed-by = "terraform", cost-centre = "platform" }
}

# the domain is a zone of its own, which the zone above delegates to
resource "google_dns_managed_zone" "this" {
  name        = local.name
  dns_name    = "${local.domain}."
  description = "The GenAI Platform, ${local.environment}"
  visibility  = "public"

  dnssec_config {
    state = "on"
  }
}

module "platform" {
  source         = "../../../modules/google/platform"
  name           = local.name
  project        = local.project
  environment    = local.environment
  region         = "europe-west4"
  labels         = local.labels
  domain         = local.domain
  dns_zone       = google_dns_managed_zone.this.name
  load_balancer  = { address = module.load_balancer.address, endpoints = module.load_balancer.endpoints }
  cidr           = "10.90.0.0/16"
  nodes          = { machine_type = "n2-standard-8", least = 3, most = 30, most_cores = 320 }
  database       = { tier = "db-custom-4-32768", storage_gb = 200, regional = true, backup_days = 35 }
  cache          = { memory_gb = 16, standby = true }
  emails         = local.emails
  bucket         = local.project
  repository     = "example/genai-platform"
  replicated     = true
  replica_region = module.second.region
  replica_key_id = module.second.rest_key_id
}

# the second region: what is kept is there as well, and as few nodes as answer a health check
module "second" {
  source               = "../../../modules/google/platform"
  name                 = local.name
  project              = local.project
  environment          = local.environment
  region               = "europe-west1"
  labels               = local.labels
  domain               = local.domain
  dns_zone             = google_dns_managed_zone.this.name
  load_balancer        = { address = module.load_balancer.address, endpoints = module.load_balancer.endpoints }
  cidr                 = "10.91.0.0/16"
  nodes                = { machine_type = "n2-standard-8", least = 1, most = 30, most_cores = 320 }
  database             = { tier = "db-custom-4-32768", storage_gb = 200, regional = false, backup_days = 35 }
  cache                = { memory_gb = 16, standby = true }
  emails               = local.emails
  second               = true
  first_tenants_key_id = module.platform.tenants_key_id
  first_bucket         = module.platform.bucket
  first_secret_ids     = module.platform.secret_ids
  first_registry       = module.platform.registry
  first_database       = module.platform.database
  promoted             = var.second_promoted
}

module "load_balancer" {
  source   = "../../../modules/google/load_balancer"
  name     = local.name
  domain   = local.domain
  dns_zone = google_dns_managed_zone.this.name
  regions = {
    first  = { zones = var.endpoint_zones, serves = !var.second_promoted }
    second = { zones = var.second_endpoint_zones, serves = var.second_promoted }
  }
}

module "budget" {
  source          = "../../../modules/google/budget"
  name            = local.name
  billing_account = var.billing_account
  monthly         = 15000
  channels        = module.platform.channels
}
