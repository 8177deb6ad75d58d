# AWS, dev: an account, a state, a key and a network of its own. Nothing here is shared with another environment.

locals {
  account     = "111111111111"
  environment = "dev"
  name        = "genai-dev"
  domain      = "genai.dev.example.com"
  zone_id     = "Z0000000000000000DEV"
  emails      = ["platform@example.com"]
  tags        = { product = "genai-platform", environment = local.environment, managed-by = "terraform", cost-centre = "platform" }
}

module "platform" {
  source          = "../../../modules/aws/platform"
  name            = local.name
  environment     = local.environment
  domain          = local.domain
  zone_id         = local.zone_id
  cidr            = "10.10.0.0/16"
  zones           = ["eu-central-1a", "eu-central-1b"]
  compute         = "ecs"
  server          = { cpu = 1024, memory = 2048, least = 1, most = 3 }
  worker          = { cpu = 1024, memory = 4096, least = 1, most = 2 }
  one_nat_gateway = true
  settings = {
    GENAI_MODELS = jsonencode([
      { alias = "default", deployments = [{ provider = "bedrock", model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0" }] },
      { alias = "embeddings", kind = "embeddings", deployments = [{ provider = "bedrock", model = "amazon.titan-embed-text-v2:0" }] },
    ])
  }
  database   = { instance_class = "db.t4g.medium", storage_gb = 20, multi_az = false, backup_days = 7 }
  cache      = { node_type = "cache.t4g.small", nodes = 1, snapshot_days = 1 }
  model_arns = ["arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:${local.account}:inference-profile/*"]
  repository = "example/genai-platform"
  emails     = local.emails
}

module "front" {
  source      = "../../../modules/aws/front"
  providers   = { aws = aws, aws.global = aws.global }
  name        = local.name
  domain      = local.domain
  zone_id     = local.zone_id
  origins     = { first = module.platform.origin }
  logs_bucket = module.platform.logs_bucket
  monthly_usd = 500
  emails      = local.emails
}
