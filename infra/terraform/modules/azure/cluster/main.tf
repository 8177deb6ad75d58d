# AKS: private, signed in to with Entra ID alone, its pods with identities of their own. Two pools of nodes grow and shrink by themselves.

resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.name}-cluster"
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "network" {
  scope                = var.network_id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

# disks of nodes and volumes are encrypted with the vault's key
resource "azurerm_disk_encryption_set" "this" {
  name                      = var.name
  resource_group_name       = var.resource_group
  location                  = var.location
  key_vault_key_id          = var.rest_key_id
  auto_key_rotation_enabled = true
  tags                      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.rest_identity_id]
  }
}

resource "azurerm_kubernetes_cluster" "this" {
  name                              = var.name
  resource_group_name               = var.resource_group
  location                          = var.location
  dns_prefix                        = var.name
  kubernetes_version                = var.kubernetes_version
  sku_tier                          = "Standard"
  private_cluster_enabled           = true
  local_account_disabled            = true
  oidc_issuer_enabled               = true
  workload_identity_enabled         = true
  azure_policy_enabled              = true
  role_based_access_control_enabled = true
  automatic_upgrade_channel         = "patch"
  node_os_upgrade_channel           = "NodeImage"
  image_cleaner_enabled             = true
  image_cleaner_interval_hours      = 48
  disk_encryption_set_id            = azurerm_disk_encryption_set.this.id
  tags                              = var.tags

  default_node_pool {
    name                         = "system"
    vm_size                      = var.system_size
    vnet_subnet_id               = var.subnet_id
    zones                        = ["1", "2", "3"]
    auto_scaling_enabled         = true
    min_count                    = 2
    max_count                    = 4
    max_pods                     = 60
    os_disk_type                 = "Ephemeral"
    host_encryption_enabled      = true
    only_critical_addons_enabled = true
    temporary_name_for_rotation  = "systemnext"
    tags                         = var.tags

    upgrade_settings {
      max_surge = "33%"
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    outbound_type       = "userAssignedNATGateway"
    service_cidr        = "172.20.0.0/16"
    dns_service_ip      = "172.20.0.10"
  }

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = true
    admin_group_object_ids = var.administrator_groups
  }

  auto_scaler_profile {
    balance_similar_node_groups  = true
    max_graceful_termination_sec = "300"
    scale_down_unneeded          = "10m"
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  ingress_application_gateway {
    gateway_id = var.gateway_id
  }

  oms_agent {
    log_analytics_workspace_id      = var.log_workspace_id
    msi_auth_for_monitoring_enabled = true
  }

  monitor_metrics {}

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  depends_on = [azurerm_role_assignment.network]
}

resource "azurerm_kubernetes_cluster_node_pool" "platform" {
  name                    = "platform"
  kubernetes_cluster_id   = azurerm_kubernetes_cluster.this.id
  vm_size                 = var.node_size
  vnet_subnet_id          = var.subnet_id
  zones                   = ["1", "2", "3"]
  auto_scaling_enabled    = true
  min_count               = var.least_nodes
  max_count               = var.most_nodes
  max_pods                = 60
  os_disk_type            = "Ephemeral"
  host_encryption_enabled = true
  tags                    = var.tags

  upgrade_settings {
    max_surge = "33%"
  }
}

resource "azurerm_role_assignment" "registry" {
  scope                = var.registry_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id
  principal_type       = "ServicePrincipal"
}

# the Ingress's controller writes to the gateway that stands already
resource "azurerm_role_assignment" "gateway" {
  for_each             = { Contributor = var.gateway_id, "Network Contributor" = var.gateway_subnet_id }
  scope                = each.value
  role_definition_name = each.key
  principal_id         = azurerm_kubernetes_cluster.this.ingress_application_gateway[0].ingress_application_gateway_identity[0].object_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "control-plane"
  target_resource_id         = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id = var.log_workspace_id

  dynamic "enabled_log" {
    for_each = toset(["kube-apiserver", "kube-audit-admin", "kube-controller-manager", "cluster-autoscaler", "guard"])
    content {
      category = enabled_log.key
    }
  }
}
