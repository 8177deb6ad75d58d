# Prometheus as a service, with the same recording rules and alerts as everywhere (infra/prometheus), and CloudWatch's alarms for
# what only AWS sees. Both tell the same topic.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "workspace" {
  name              = "/${var.name}/prometheus"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_prometheus_workspace" "this" {
  alias       = var.name
  kms_key_arn = var.kms_key_arn

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.workspace.arn}:*"
  }
}

resource "aws_prometheus_rule_group_namespace" "this" {
  for_each     = toset(["alerts", "recording-rules"])
  name         = each.key
  workspace_id = aws_prometheus_workspace.this.id
  data         = file("${path.module}/../../../../prometheus/${each.key}.yml")
}

resource "aws_prometheus_alert_manager_definition" "this" {
  workspace_id = aws_prometheus_workspace.this.id
  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = { receiver = "operators", group_by = ["alertname"], repeat_interval = "4h" }
      receivers = [{
        name = "operators"
        sns_configs = [{
          topic_arn = aws_sns_topic.alarms.arn
          sigv4     = { region = data.aws_region.current.region }
        }]
      }]
    })
  })
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

data "aws_iam_policy_document" "alarms" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["aps.amazonaws.com", "cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "emails" {
  for_each  = toset(var.emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  alarms = merge(
    {
      database-cpu         = { space = "AWS/RDS", metric = "CPUUtilization", above = true, at = 85, of = { DBInstanceIdentifier = var.database } }
      database-storage     = { space = "AWS/RDS", metric = "FreeStorageSpace", above = false, at = 10737418240, of = { DBInstanceIdentifier = var.database } }
      database-connections = { space = "AWS/RDS", metric = "DatabaseConnections", above = true, at = var.most_connections, of = { DBInstanceIdentifier = var.database } }
      cache-memory         = { space = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", above = true, at = 75, of = { CacheClusterId = var.cache } }
    },
    var.follows ? { replica-lag = { space = "AWS/RDS", metric = "ReplicaLag", above = true, at = 60, of = { DBInstanceIdentifier = var.database } } } : {},
    { for name, label in var.load_balancers : "${name}-errors" => { space = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", above = true, at = 20, of = { LoadBalancer = label } } },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  namespace           = each.value.space
  metric_name         = each.value.metric
  dimensions          = each.value.of
  statistic           = each.value.above ? "Maximum" : "Minimum"
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.at
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
