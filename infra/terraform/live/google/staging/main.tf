# Google Cloud, staging: a project, a state, keys and a network of its own. Nothing here is shared with another environment.

locals {
  project     = "example-genai-staging"
  environment = "staging"
  name        = "genai-staging"
  domain      = "genai.staging.example.com"
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
  source        = "../../../modules/google/platform"
  name          = local.name
  project       = local.project
  environment   = local.environment
  region        = "europe-west4"
  labels        = local.labels
  domain        = local.domain
  dns_zone      = google_dns_managed_zone.this.name
  load_balancer = { address = module.load_balancer.address, endpoints = module.load_balancer.endpoints }
  cidr          = "10.80.0.0/16"
  nodes         = { machine_type = "n2-standard-4", least = 2, most = 6, most_cores = 64 }
  database      = { tier = "db-custom-2-8192", storage_gb = 50, regional = true, backup_days = 14 }
  cache         = { memory_gb = 4, standby = true }
  emails        = local.emails
  bucket        = local.project
  repository    = "example/genai-platform"
}

module "load_balancer" {
  source   = "../../../modules/google/load_balancer"
  name     = local.name
  domain   = local.domain
  dns_zone = google_dns_managed_zone.this.name
  regions  = { first = { zones = var.endpoint_zones, serves = true } }
}

module "budget" {
  source          = "../../../modules/google/budget"
  name            = local.name
  billing_account = var.billing_account
  monthly         = 3000
  channels        = module.platform.channels
}
