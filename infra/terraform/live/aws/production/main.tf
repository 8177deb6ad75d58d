# AWS, production: an account, a state, a key and a network of its own. Nothing here is shared with another environment.

locals {
  account     = "333333333333"
  environment = "production"
  name        = "genai-production"
  domain      = "genai.example.com"
  zone_id     = "Z0000000000000000PRD"
  emails      = ["platform@example.com"]
  tags        = { product = "genai-platform", environment = local.environment, managed-by = "terraform", cost-centre = "platform" }
}

module "platform" {
  source             = "../../../modules/aws/platform"
  name               = local.name
  environment        = local.environment
  domain             = local.domain
  zone_id            = local.zone_id
  cidr               = "10.30.0.0/16"
  zones              = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  compute            = "eks"
  administrators     = { operators = "arn:aws:iam::333333333333:role/operators" }
  ingress_stands     = var.ingress_stands
  database           = { instance_class = "db.r7g.xlarge", storage_gb = 200, multi_az = true, backup_days = 35 }
  cache              = { node_type = "cache.r7g.large", nodes = 3, snapshot_days = 14 }
  model_arns         = ["arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:${local.account}:inference-profile/*"]
  repository         = "example/genai-platform"
  emails             = local.emails
  replicated         = true
  replica_region     = module.second.region
  replica_bucket_arn = module.second.bucket_arn
  replica_key_arn    = module.second.rest_key_arn
}

# the second region: copies of everything that is kept, and as few servers as answer a health check
module "second" {
  source                = "../../../modules/aws/platform"
  providers             = { aws = aws.second }
  name                  = local.name
  environment           = local.environment
  domain                = local.domain
  zone_id               = local.zone_id
  cidr                  = "10.31.0.0/16"
  zones                 = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  compute               = "eks"
  administrators        = { operators = "arn:aws:iam::333333333333:role/operators" }
  ingress_stands        = var.second_ingress_stands
  database              = { instance_class = "db.r7g.xlarge", storage_gb = 200, multi_az = false, backup_days = 35 }
  cache                 = { node_type = "cache.r7g.large", nodes = 2, snapshot_days = 1 }
  model_arns            = ["arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:${local.account}:inference-profile/*"]
  emails                = local.emails
  second                = true
  first_region          = module.platform.region
  first_tenants_key_arn = module.platform.tenants_key_arn
  first_secret_arns     = module.platform.secret_arns
  first_database        = module.platform.database
  promoted              = var.second_promoted
}

module "front" {
  source      = "../../../modules/aws/front"
  providers   = { aws = aws, aws.global = aws.global }
  name        = local.name
  domain      = local.domain
  zone_id     = local.zone_id
  origins     = { first = module.platform.origin, second = module.second.origin }
  logs_bucket = module.platform.logs_bucket
  monthly_usd = 15000
  emails      = local.emails
}
