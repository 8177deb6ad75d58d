# Who may do what: the platform itself, and what delivers it. Nobody has a key that does not end.

locals {
  prefix = var.kubernetes ? replace(var.workload_issuer, "https://", "") : ""
}

# the platform: its files, its tenants' keys, its secrets, its models
data "aws_iam_policy_document" "platform" {
  statement {
    sid       = "Files"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${var.bucket_arn}/files/*"]
  }
  statement {
    sid       = "ListOfFiles"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arn]
  }
  statement {
    sid       = "FilesAtRest"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.rest_key_arn]
  }
  statement {
    sid       = "TenantsKeys"
    actions   = ["kms:Encrypt", "kms:Decrypt"]
    resources = [var.tenants_key_arn]
  }
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = var.secret_arns
  }
  dynamic "statement" {
    for_each = length(var.model_arns) > 0 ? [var.model_arns] : []
    content {
      sid       = "Models"
      actions   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
      resources = statement.value
    }
  }
}

resource "aws_iam_policy" "platform" {
  name        = "${var.name}-platform"
  description = "What the platform itself may do"
  policy      = data.aws_iam_policy_document.platform.json
}

# on Kubernetes the platform's service account is its identity

data "aws_iam_policy_document" "workload" {
  for_each = var.kubernetes ? local.workloads : {}
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.workload_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.prefix}:sub"
      values   = ["system:serviceaccount:${each.value}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.prefix}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

locals {
  workloads = {
    platform     = "genai:genai"
    certificates = "cert-manager:cert-manager"
    metrics      = "observability:prometheus"
  }
}

resource "aws_iam_role" "workload" {
  for_each           = data.aws_iam_policy_document.workload
  name               = "${var.name}-${each.key}"
  assume_role_policy = each.value.json
}

resource "aws_iam_role_policy_attachment" "platform" {
  count      = var.kubernetes ? 1 : 0
  role       = aws_iam_role.workload["platform"].name
  policy_arn = aws_iam_policy.platform.arn
}

data "aws_iam_policy_document" "certificates" {
  #checkov:skip=CKV_AWS_356:a change's id is not known before it is made
  statement {
    actions   = ["route53:GetChange"]
    resources = ["arn:aws:route53:::change/*"]
  }
  statement {
    actions   = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"]
    resources = ["arn:aws:route53:::hostedzone/${var.zone_id}"]
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsRecordTypes"
      values   = ["TXT"]
    }
  }
}

resource "aws_iam_role_policy" "certificates" {
  count  = var.kubernetes ? 1 : 0
  role   = aws_iam_role.workload["certificates"].id
  policy = data.aws_iam_policy_document.certificates.json
}

data "aws_iam_policy_document" "metrics" {
  statement {
    actions   = ["aps:RemoteWrite", "aps:QueryMetrics", "aps:GetSeries", "aps:GetLabels", "aps:GetMetricMetadata"]
    resources = [var.metrics_workspace_arn]
  }
}

resource "aws_iam_role_policy" "metrics" {
  count  = var.kubernetes ? 1 : 0
  role   = aws_iam_role.workload["metrics"].id
  policy = data.aws_iam_policy_document.metrics.json
}

# GitHub's workflows: jobs of one environment of one repository may push images, and look whether they have come; nothing else

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.repository == null ? 0 : 1
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "delivery_assume" {
  count = var.repository == null ? 0 : 1
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github[0].arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.repository}:environment:${var.environment}"]
    }
  }
}

data "aws_iam_policy_document" "delivery" {
  #checkov:skip=CKV_AWS_356:the token of a registry is of no repository
  statement {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.registry_arn]
  }
}

resource "aws_iam_role" "delivery" {
  count              = var.repository == null ? 0 : 1
  name               = "${var.name}-delivery"
  assume_role_policy = data.aws_iam_policy_document.delivery_assume[0].json
}

resource "aws_iam_role_policy" "delivery" {
  count  = var.repository == null ? 0 : 1
  role   = aws_iam_role.delivery[0].id
  policy = data.aws_iam_policy_document.delivery.json
}
