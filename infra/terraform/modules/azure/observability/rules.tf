# The rules of infra/prometheus. In a file of its own, since checkov cannot read the argument `for`.

locals {
  files     = { for name in ["alerts", "recording-rules"] : name => yamldecode(file("${path.module}/../../../../prometheus/${name}.yml")) }
  groups    = merge([for name, content in local.files : { for group in content.groups : "${name}-${group.name}" => group }]...)
  durations = { "30s" = "PT30S", "1m" = "PT1M", "2m" = "PT2M", "5m" = "PT5M", "10m" = "PT10M", "15m" = "PT15M", "30m" = "PT30M", "1h" = "PT1H" }
}

resource "azurerm_monitor_alert_prometheus_rule_group" "this" {
  for_each            = local.groups
  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group
  location            = var.location
  interval            = lookup(local.durations, try(each.value.interval, "1m"), "PT1M")
  scopes              = [azurerm_monitor_workspace.this.id, var.cluster_id]
  cluster_name        = var.cluster_name
  rule_group_enabled  = true
  tags                = var.tags

  dynamic "rule" {
    for_each = each.value.rules
    content {
      alert       = try(rule.value.alert, null)
      record      = try(rule.value.record, null)
      expression  = rule.value.expr
      for         = try(local.durations[rule.value.for], null)
      labels      = try(rule.value.labels, null)
      annotations = try(rule.value.annotations, null)
      severity    = try(rule.value.alert, null) == null ? null : try(rule.value.labels.severity, "") == "critical" ? 1 : 3

      dynamic "action" {
        for_each = try(rule.value.alert, null) == null ? [] : [azurerm_monitor_action_group.operators.id]
        content {
          action_group_id = action.value
        }
      }
    }
  }
}
