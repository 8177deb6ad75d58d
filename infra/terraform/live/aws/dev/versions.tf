terraform {
  required_version = ">= 1.11"

  backend "s3" {
    bucket              = "genai-dev-state-111111111111"
    key                 = "genai/dev.tfstate"
    region              = "eu-central-1"
    encrypt             = true
    kms_key_id          = "arn:aws:kms:eu-central-1:111111111111:alias/genai-dev-state"
    use_lockfile        = true
    allowed_account_ids = ["111111111111"]
  }

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "aws" {
  region              = "eu-central-1"
  allowed_account_ids = [local.account]
  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias               = "global"
  region              = "us-east-1"
  allowed_account_ids = [local.account]
  default_tags {
    tags = local.tags
  }
}
