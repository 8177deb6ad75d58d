# Two keys of KMS: what AWS encrypts at rest, and what the platform wraps its tenants' keys with. The second is a multi-region key:
# what it has wrapped here is unwrapped by its replica in the second region.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
}

data "aws_iam_policy_document" "rest" {
  #checkov:skip=CKV_AWS_109:a key's policy speaks of that key alone; its account's root is how IAM comes to decide
  #checkov:skip=CKV_AWS_111:a key's policy speaks of that key alone
  #checkov:skip=CKV_AWS_356:in a key's policy the resource * is the key itself
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account}:root"]
    }
  }
  statement {
    sid       = "Services"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${data.aws_region.current.region}.amazonaws.com", "sns.amazonaws.com", "aps.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${data.aws_region.current.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${data.aws_region.current.region}:${local.account}:*"]
    }
  }
}

resource "aws_kms_key" "rest" {
  description             = "${var.name}: data at rest"
  policy                  = data.aws_iam_policy_document.rest.json
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_kms_alias" "rest" {
  name          = "alias/${var.name}-rest"
  target_key_id = aws_kms_key.rest.key_id
}

data "aws_iam_policy_document" "tenants" {
  #checkov:skip=CKV_AWS_109:a key's policy speaks of that key alone; its account's root is how IAM comes to decide
  #checkov:skip=CKV_AWS_111:a key's policy speaks of that key alone
  #checkov:skip=CKV_AWS_356:in a key's policy the resource * is the key itself
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account}:root"]
    }
  }
}

resource "aws_kms_key" "tenants" {
  count                   = var.second ? 0 : 1
  description             = "${var.name}: wraps the keys of tenants"
  policy                  = data.aws_iam_policy_document.tenants.json
  enable_key_rotation     = true
  multi_region            = true
  deletion_window_in_days = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_replica_key" "tenants" {
  count                   = var.second ? 1 : 0
  description             = "${var.name}: wraps the keys of tenants"
  primary_key_arn         = var.primary_key_arn
  policy                  = data.aws_iam_policy_document.tenants.json
  deletion_window_in_days = 30
}

resource "aws_kms_alias" "tenants" {
  name          = "alias/${var.tenants_alias}"
  target_key_id = var.second ? aws_kms_replica_key.tenants[0].key_id : aws_kms_key.tenants[0].key_id
}
