# What the project may cost a month, by forecast and in fact.

data "google_project" "current" {}

resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = var.name

  budget_filter {
    projects        = ["projects/${data.google_project.current.number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(var.monthly)
    }
  }

  dynamic "threshold_rules" {
    for_each = { half = ["CURRENT_SPEND", 0.5], most = ["CURRENT_SPEND", 0.8], all = ["CURRENT_SPEND", 1], coming = ["FORECASTED_SPEND", 1] }
    content {
      spend_basis       = threshold_rules.value[0]
      threshold_percent = threshold_rules.value[1]
    }
  }

  all_updates_rule {
    monitoring_notification_channels = var.channels
    disable_default_iam_recipients   = false
  }
}
