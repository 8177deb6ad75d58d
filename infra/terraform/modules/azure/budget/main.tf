# What the subscription may cost a month, by forecast and in fact.

resource "azurerm_consumption_budget_subscription" "this" {
  name            = var.name
  subscription_id = "/subscriptions/${var.subscription_id}"
  amount          = var.monthly
  time_grain      = "Monthly"

  time_period {
    start_date = var.begins
  }

  dynamic "notification" {
    for_each = { half = ["Actual", 50], most = ["Actual", 80], all = ["Actual", 100], coming = ["Forecasted", 100] }
    content {
      enabled        = true
      threshold_type = notification.value[0]
      threshold      = notification.value[1]
      operator       = "GreaterThan"
      contact_emails = var.emails
    }
  }
}
