# AWS, staging: an account, a state, a key and a network of its own. Nothing here is shared with another environment.

locals {
  account     = "222222222222"
  environment = "staging"
  name        = "genai-staging"
  domain      = "genai.staging.example.com"
  zone_id     = "Z00000000000000STAGE"
  emails      = ["platform@example.com"]
  tags        = { product = "genai-platform", environment = local.environment, managed-by = "terraform", cost-centre = "platform" }
}

module "platform" {
  source         = "../../../modules/aws/platform"
  name           = local.name
  environment    = local.environment
  domain         = local.domain
  zone_id        = local.zone_id
  cidr           = "10.20.0.0/16"
  zones          = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  compute        = "eks"
  administrators = { operators = "arn:aws:iam::222222222222:role/operators" }
  ingress_stands = var.ingress_stands
  database       = { instance_class = "db.m7g.large", storage_gb = 50, multi_az = true, backup_days = 7 }
  cache          = { node_type = "cache.m7g.large", nodes = 2, snapshot_days = 3 }
  model_arns     = ["arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:${local.account}:inference-profile/*"]
  repository     = "example/genai-platform"
  emails         = local.emails
}

module "front" {
  source      = "../../../modules/aws/front"
  providers   = { aws = aws, aws.global = aws.global }
  name        = local.name
  domain      = local.domain
  zone_id     = local.zone_id
  origins     = { first = module.platform.origin }
  logs_bucket = module.platform.logs_bucket
  monthly_usd = 3000
  emails      = local.emails
}
