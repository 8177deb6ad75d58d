# Azure's Prometheus, with the same recording rules and alerts as everywhere (infra/prometheus), logs, and alerts on what only Azure sees.

resource "azurerm_log_analytics_workspace" "this" {
  name                         = var.name
  resource_group_name          = var.resource_group
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = 365
  local_authentication_enabled = false
  tags                         = var.tags
}

resource "azurerm_monitor_workspace" "this" {
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_monitor_data_collection_endpoint" "this" {
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  kind                = "Linux"
  tags                = var.tags
}

resource "azurerm_monitor_data_collection_rule" "this" {
  name                        = var.name
  resource_group_name         = var.resource_group
  location                    = var.location
  kind                        = "Linux"
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.this.id
  tags                        = var.tags

  destinations {
    monitor_account {
      monitor_account_id = azurerm_monitor_workspace.this.id
      name               = "prometheus"
    }
  }

  data_flow {
    streams      = ["Microsoft-PrometheusMetrics"]
    destinations = ["prometheus"]
  }

  data_sources {
    prometheus_forwarder {
      streams = ["Microsoft-PrometheusMetrics"]
      name    = "prometheus"
    }
  }
}

resource "azurerm_monitor_data_collection_rule_association" "this" {
  name                    = var.name
  target_resource_id      = var.cluster_id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.this.id
}

resource "azurerm_monitor_action_group" "operators" {
  name                = "${var.name}-operators"
  resource_group_name = var.resource_group
  short_name          = "operators"
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = toset(var.emails)
    content {
      name                    = email_receiver.key
      email_address           = email_receiver.key
      use_common_alert_schema = true
    }
  }
}

locals {
  alerts = {
    database-cpu     = { of = var.database_id, space = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "cpu_percent", at = 85 }
    database-storage = { of = var.database_id, space = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "storage_percent", at = 85 }
    cache-memory     = { of = var.cache_id, space = "Microsoft.Cache/redisEnterprise", metric = "usedmemorypercentage", at = 75 }
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each            = local.alerts
  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group
  scopes              = [each.value.of]
  frequency           = "PT1M"
  window_size         = "PT5M"
  severity            = 2
  tags                = var.tags

  criteria {
    metric_namespace = each.value.space
    metric_name      = each.value.metric
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = each.value.at
  }

  action {
    action_group_id = azurerm_monitor_action_group.operators.id
  }
}
