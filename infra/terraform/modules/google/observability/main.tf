# Who is told, and alerts on what only Google sees. The platform's own alerts are those of infra/prometheus, which Prometheus in the
# cluster (Google's managed one) evaluates.

resource "google_monitoring_notification_channel" "operators" {
  for_each     = toset(var.emails)
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
}

locals {
  alerts = {
    database-cpu  = { metric = "cloudsql.googleapis.com/database/cpu/utilization", of = "cloudsql_database", label = "database_id", value = "${var.project}:${var.database}", at = 0.85 }
    database-disk = { metric = "cloudsql.googleapis.com/database/disk/utilization", of = "cloudsql_database", label = "database_id", value = "${var.project}:${var.database}", at = 0.85 }
    cache-memory  = { metric = "redis.googleapis.com/stats/memory/usage_ratio", of = "redis_instance", label = "instance_id", value = "projects/${var.project}/locations/${var.region}/instances/${var.cache}", at = 0.75 }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alerts
  display_name          = "${var.name}-${each.key}"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.operators : channel.id]

  conditions {
    display_name = each.key
    condition_threshold {
      filter          = "metric.type = \"${each.value.metric}\" AND resource.type = \"${each.value.of}\" AND resource.label.${each.value.label} = \"${each.value.value}\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.at
      duration        = "300s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
}

resource "google_monitoring_uptime_check_config" "this" {
  count        = var.watched_domain == null ? 0 : 1
  display_name = var.name
  period       = "60s"
  timeout      = "10s"

  http_check {
    path         = "/api/v1/health/live"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { host = var.watched_domain, project_id = var.project }
  }
}
