# What stands before all regions: CDN, its rules and certificate (in us-east-1, where CloudFront looks for them), and the names.

data "aws_caller_identity" "current" {
  provider = aws.global
}

data "aws_iam_policy_document" "logs" {
  #checkov:skip=CKV_AWS_109:a key's policy speaks of that key alone; its account's root is how IAM comes to decide
  #checkov:skip=CKV_AWS_111:a key's policy speaks of that key alone
  #checkov:skip=CKV_AWS_356:in a key's policy the resource * is the key itself
  provider = aws.global
  statement {
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
  statement {
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.us-east-1.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:us-east-1:${data.aws_caller_identity.current.account_id}:*"]
    }
  }
}

resource "aws_kms_key" "logs" {
  provider                = aws.global
  description             = "${var.name}: logs of the CDN's rules"
  policy                  = data.aws_iam_policy_document.logs.json
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

module "firewall" {
  source      = "../firewall"
  providers   = { aws = aws.global }
  name        = "${var.name}-cdn"
  scope       = "CLOUDFRONT"
  kms_key_arn = aws_kms_key.logs.arn
}

module "certificate" {
  source    = "../certificate"
  providers = { aws = aws.global }
  domain    = var.domain
  zone_id   = var.zone_id
}

module "cdn" {
  source          = "../cdn"
  name            = var.name
  domain          = var.domain
  origin          = module.dns.origin
  certificate_arn = module.certificate.arn
  firewall_arn    = module.firewall.arn
  logs_bucket     = var.logs_bucket
}

module "dns" {
  source       = "../dns"
  zone_id      = var.zone_id
  domain       = var.domain
  origins      = var.origins
  distribution = module.cdn.distribution
}

module "budget" {
  source      = "../budget"
  name        = var.name
  monthly_usd = var.monthly_usd
  emails      = var.emails
}
