# The bucket of originals and extracted texts. Where there is a second region it spans both, and what is written in one is in the other
# within fifteen minutes.

resource "google_storage_bucket" "logs" {
  #checkov:skip=CKV_GCP_62:it is where access logs go; its own would be a circle
  #checkov:skip=CKV_GCP_78:access logs are written once
  name                        = "${var.bucket}-logs"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = var.rest_key_id
  }

  lifecycle_rule {
    condition {
      age = 365
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket" "files" {
  name                        = var.bucket
  location                    = length(var.both_regions) > 0 ? var.both_location : var.region
  rpo                         = length(var.both_regions) > 0 ? "ASYNC_TURBO" : null
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  dynamic "custom_placement_config" {
    for_each = length(var.both_regions) > 0 ? [var.both_regions] : []
    content {
      data_locations = custom_placement_config.value
    }
  }

  # Google's own key where the bucket spans regions: a regional key is not there when its region is not
  dynamic "encryption" {
    for_each = length(var.both_regions) > 0 ? [] : [var.rest_key_id]
    content {
      default_kms_key_name = encryption.value
    }
  }

  versioning {
    enabled = true
  }

  # what a tenant erases is gone for good once its former versions are
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.former_versions_days
    }
    action {
      type = "Delete"
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  logging {
    log_bucket        = google_storage_bucket.logs.name
    log_object_prefix = "files"
  }

  lifecycle {
    prevent_destroy = true
  }
}
