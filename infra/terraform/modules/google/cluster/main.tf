# GKE: private nodes and a control plane that is reached by its DNS name and IAM alone; pods have identities of their own. Nodes come and go
# by what pods ask for: within the platform's pool, and in pools that GKE makes where none fits.

resource "google_service_account" "nodes" {
  account_id   = "${var.name}-nodes"
  display_name = "Nodes of ${var.name}"
}

resource "google_project_iam_member" "nodes" {
  for_each = toset(["roles/container.defaultNodeServiceAccount"])
  project  = var.project
  role     = each.key
  member   = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  location   = var.registry.location
  repository = var.registry.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_12:network policies are part of ADVANCED_DATAPATH
  #checkov:skip=CKV_GCP_21:its labels are the stack's
  #checkov:skip=CKV_GCP_65:who may administer is said by IAM; groups of RBAC need a domain of Google Workspace
  #checkov:skip=CKV_GCP_69:the metadata server of Workload Identity is set by node_config of the pools; the first pool is removed
  name                        = var.name
  location                    = var.region
  network                     = var.network_id
  subnetwork                  = var.subnet_id
  min_master_version          = var.kubernetes_version
  remove_default_node_pool    = true
  initial_node_count          = 1
  deletion_protection         = true
  enable_shielded_nodes       = true
  enable_intranode_visibility = true
  datapath_provider           = "ADVANCED_DATAPATH"
  networking_mode             = "VPC_NATIVE"
  resource_labels             = var.labels

  node_config {
    service_account   = google_service_account.nodes.email
    boot_disk_kms_key = var.rest_key_id
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
  }

  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  master_authorized_networks_config {}

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  database_encryption {
    state    = "ENCRYPTED"
    key_name = var.rest_key_id
  }

  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }

  release_channel {
    channel = "REGULAR"
  }

  cluster_autoscaling {
    enabled             = true
    autoscaling_profile = "BALANCED"

    resource_limits {
      resource_type = "cpu"
      minimum       = 2
      maximum       = var.most_cores
    }
    resource_limits {
      resource_type = "memory"
      minimum       = 8
      maximum       = var.most_cores * 4
    }

    auto_provisioning_defaults {
      service_account   = google_service_account.nodes.email
      boot_disk_kms_key = var.rest_key_id
      oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
      shielded_instance_config {
        enable_secure_boot          = true
        enable_integrity_monitoring = true
      }
      management {
        auto_repair  = true
        auto_upgrade = true
      }
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS", "APISERVER", "POD", "DEPLOYMENT", "HPA"]
    managed_prometheus {
      enabled = true
    }
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_BASIC"
  }

  maintenance_policy {
    recurring_window {
      start_time = "2027-01-03T02:00:00Z"
      end_time   = "2027-01-03T06:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SU"
    }
  }

  lifecycle {
    # of the first pool, which is removed
    ignore_changes = [node_config, min_master_version]
  }
}

resource "google_container_node_pool" "platform" {
  name     = "platform"
  cluster  = google_container_cluster.this.id
  location = var.region

  autoscaling {
    total_min_node_count = var.least_nodes
    total_max_node_count = var.most_nodes
    location_policy      = "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  upgrade_settings {
    max_surge       = 1
    max_unavailable = 0
  }

  node_config {
    machine_type      = var.machine_type
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    boot_disk_kms_key = var.rest_key_id
    disk_type         = "pd-ssd"
    disk_size_gb      = 100
    image_type        = "COS_CONTAINERD"
    labels            = { pool = "platform" }
    metadata          = { disable-legacy-endpoints = "true" }
    resource_labels   = var.labels

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
