# Secrets by the names that infra/k8s asks for. Their values are made here, never kept in the state (write-only), and written anew
# only when `generation` is raised. Those of `by_hand` are filled in by an operator.

locals {
  made = toset(["genai-admin-key", "genai-secret-key", "genai-metrics-token"])
}

ephemeral "random_password" "made" {
  for_each = local.made
  length   = 48
  special  = false
}

resource "google_secret_manager_secret" "this" {
  for_each            = setunion(local.made, var.by_hand)
  secret_id           = each.key
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

resource "google_secret_manager_secret_version" "made" {
  for_each               = local.made
  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = ephemeral.random_password.made[each.key].result
  secret_data_wo_version = var.generation
}
