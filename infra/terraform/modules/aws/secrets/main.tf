# Secrets by the names that infra/k8s and the tasks of ECS ask for. Their values are made here, never kept in the state (write-only),
# and written anew only when `generation` is raised. Those of `by_hand` are filled in by an operator.

locals {
  made = toset(["genai-admin-key", "genai-secret-key", "genai-metrics-token"])
  all  = setunion(local.made, var.by_hand)
}

ephemeral "random_password" "made" {
  for_each = local.made
  length   = 48
  special  = false
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:the platform's own secrets are rotated by raising generation: a rotation by itself would end every session
  for_each                = local.all
  name                    = each.key
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30

  dynamic "replica" {
    for_each = var.replica_regions
    content {
      region     = replica.key
      kms_key_id = replica.value
    }
  }
}

resource "aws_secretsmanager_secret_version" "made" {
  for_each                 = local.made
  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = ephemeral.random_password.made[each.key].result
  secret_string_wo_version = var.generation
}
