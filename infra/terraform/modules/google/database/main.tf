# Cloud SQL: PostgreSQL with pgvector, in several zones, TLS alone. In a second region it is a replica, whose secret names the
# replica's address.

ephemeral "random_password" "owner" {
  length  = 40
  special = false
}

resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_79:the version is the one that the platform is tested with; it is raised on purpose
  #checkov:skip=CKV_GCP_6:clients show a password, not a certificate; what they say is encrypted (ENCRYPTED_ONLY)
  #checkov:skip=CKV2_GCP_13:durations of every statement would hide those that matter
  name                 = var.name
  region               = var.region
  database_version     = "POSTGRES_17"
  encryption_key_name  = var.rest_key_id
  instance_type        = var.replica_of == null || var.promoted ? "CLOUD_SQL_INSTANCE" : "READ_REPLICA_INSTANCE"
  master_instance_name = var.replica_of == null || var.promoted ? null : var.replica_of.instance
  deletion_protection  = true

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.regional ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.storage_gb
    disk_autoresize             = true
    deletion_protection_enabled = true
    connector_enforcement       = "NOT_REQUIRED"

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network_id
      ssl_mode        = "ENCRYPTED_ONLY"
      server_ca_mode  = "GOOGLE_MANAGED_INTERNAL_CA"
    }

    dynamic "backup_configuration" {
      for_each = var.replica_of == null || var.promoted ? [var.backup_days] : []
      content {
        enabled                        = true
        point_in_time_recovery_enabled = true
        start_time                     = "01:00"
        transaction_log_retention_days = 7
        backup_retention_settings {
          retained_backups = backup_configuration.value
          retention_unit   = "COUNT"
        }
      }
    }

    maintenance_window {
      day          = 7
      hour         = 2
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled  = true
      record_application_tags = false
      record_client_address   = false
    }

    database_flags {
      name  = "cloudsql.enable_pgaudit"
      value = "on"
    }
    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }
    database_flags {
      name  = "log_hostname"
      value = "on"
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    database_flags {
      name  = "log_min_duration_statement"
      value = "-1"
    }
    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }
    database_flags {
      name  = "log_min_messages"
      value = "error"
    }
    database_flags {
      name  = "log_statement"
      value = "ddl"
    }
    database_flags {
      name  = "log_temp_files"
      value = "0"
    }
  }
}

resource "google_sql_database" "this" {
  count    = var.replica_of == null ? 1 : 0
  name     = "genai"
  instance = google_sql_database_instance.this.name
}

resource "google_sql_user" "this" {
  count               = var.replica_of == null ? 1 : 0
  name                = "genai"
  instance            = google_sql_database_instance.this.name
  password_wo         = ephemeral.random_password.owner.result
  password_wo_version = var.generation
}

ephemeral "google_secret_manager_secret_version" "first" {
  count  = var.replica_of == null ? 0 : 1
  secret = var.replica_of.url_secret
}

locals {
  # the secrets of a project are in one room: those of a second region have a name of their own
  suffix = var.replica_of == null ? "" : "-second"
}

resource "google_secret_manager_secret" "this" {
  for_each            = toset(["genai-database-url", "genai-authorities"])
  secret_id           = "${each.key}${local.suffix}"
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
  secret                 = google_secret_manager_secret.this["genai-database-url"].id
  secret_data_wo         = var.replica_of == null ? "postgresql://genai:${ephemeral.random_password.owner.result}@${google_sql_database_instance.this.private_ip_address}:5432/genai?sslmode=verify-ca" : replace(ephemeral.google_secret_manager_secret_version.first[0].secret_data, var.replica_of.address, google_sql_database_instance.this.private_ip_address)
  secret_data_wo_version = var.generation
}

# the authorities of database and cache, which the world does not know: no secrets, but kept beside them
resource "google_secret_manager_secret_version" "authorities" {
  secret      = google_secret_manager_secret.this["genai-authorities"].id
  secret_data = join("\n", concat(google_sql_database_instance.this.server_ca_cert[*].cert, var.other_authorities))
}
