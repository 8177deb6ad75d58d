# Memorystore for Redis: limits, budgets, queues and kept answers. It evicts nothing, since what it holds is counted on.

resource "google_redis_instance" "this" {
  name                    = var.name
  region                  = var.region
  tier                    = var.standby ? "STANDARD_HA" : "BASIC"
  memory_size_gb          = var.memory_gb
  redis_version           = "REDIS_7_2"
  authorized_network      = var.network_id
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"
  customer_managed_key    = var.rest_key_id
  redis_configs           = { "maxmemory-policy" = "noeviction" }

  persistence_config {
    persistence_mode    = "RDB"
    rdb_snapshot_period = "ONE_HOUR"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"
      start_time {
        hours   = 3
        minutes = 30
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_secret_manager_secret" "url" {
  secret_id           = var.second ? "genai-redis-url-second" : "genai-redis-url"
  deletion_protection = true

  replication {
    user_managed {
      dynamic "replicas" {
        for_each = var.locations
        content {
          location = replicas.key
          customer_managed_encryption {
            kms_key_name = replicas.value
          }
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "url" {
  secret                 = google_secret_manager_secret.url.id
  secret_data_wo         = "rediss://:${google_redis_instance.this.auth_string}@${google_redis_instance.this.host}:${google_redis_instance.this.port}/0"
  secret_data_wo_version = var.generation
}
