# The Application Gateway with its firewall, which Front Door alone reaches. What it listens to and where it leads is written by the
# Ingress's controller; what stands here is what it must be made with.

resource "azurerm_public_ip" "this" {
  name                = "${var.name}-gateway"
  resource_group_name = var.resource_group
  location            = var.location
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = ["1", "2", "3"]
  domain_name_label   = var.name
  tags                = var.tags
}

resource "azurerm_web_application_firewall_policy" "this" {
  #checkov:skip=CKV_AZURE_135:Microsoft_DefaultRuleSet holds the rule against Log4Shell, by another name than the OWASP set
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags

  policy_settings {
    enabled = true
    mode    = "Prevention"
    # prompts look like attacks now and then: the platform reads and bounds bodies itself
    request_body_check = false
  }

  managed_rules {
    managed_rule_set {
      type    = "Microsoft_DefaultRuleSet"
      version = "2.1"
    }
    managed_rule_set {
      type    = "Microsoft_BotManagerRuleSet"
      version = "1.1"
    }
  }

  # whoever comes by Front Door comes by ours
  custom_rules {
    name      = "OwnFrontDoor"
    priority  = 1
    rule_type = "MatchRule"
    action    = "Block"
    match_conditions {
      match_variables {
        variable_name = "RequestHeaders"
        selector      = "X-Azure-FDID"
      }
      operator           = "Equal"
      negation_condition = true
      match_values       = [var.front_door_guid]
    }
  }
}

resource "azurerm_application_gateway" "this" {
  #checkov:skip=CKV_AZURE_217:its listeners are the Ingress's, which are HTTPS; this one is never reached (port 80 is closed)
  #checkov:skip=CKV_AZURE_218:the protocols are those of ssl_policy
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  zones               = ["1", "2", "3"]
  firewall_policy_id  = azurerm_web_application_firewall_policy.this.id
  enable_http2        = true
  tags                = var.tags

  sku {
    name = "WAF_v2"
    tier = "WAF_v2"
  }

  autoscale_configuration {
    min_capacity = var.least
    max_capacity = var.most
  }

  ssl_policy {
    policy_type = "Predefined"
    policy_name = "AppGwSslPolicy20220101S"
  }

  gateway_ip_configuration {
    name      = "subnet"
    subnet_id = var.subnet_id
  }

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = azurerm_public_ip.this.id
  }

  frontend_port {
    name = "first"
    port = 80
  }

  backend_address_pool {
    name = "first"
  }

  backend_http_settings {
    name                  = "first"
    protocol              = "Https"
    port                  = 8000
    cookie_based_affinity = "Disabled"
    request_timeout       = 180

    connection_draining {
      enabled           = true
      drain_timeout_sec = 130
    }
  }

  http_listener {
    name                           = "first"
    protocol                       = "Http"
    frontend_ip_configuration_name = "public"
    frontend_port_name             = "first"
  }

  request_routing_rule {
    name                       = "first"
    priority                   = 20000
    rule_type                  = "Basic"
    http_listener_name         = "first"
    backend_address_pool_name  = "first"
    backend_http_settings_name = "first"
  }

  lifecycle {
    ignore_changes = [backend_address_pool, backend_http_settings, frontend_port, http_listener, probe, redirect_configuration, request_routing_rule, ssl_certificate, tags, url_path_map]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "access-and-firewall"
  target_resource_id         = azurerm_application_gateway.this.id
  log_analytics_workspace_id = var.log_workspace_id

  enabled_log {
    category_group = "allLogs"
  }
}
