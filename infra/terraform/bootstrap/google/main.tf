# Once for each project, before its stack: the services that it uses, and the bucket of the state with its key. Cloud Storage locks by
# itself. Its own state is small, holds no secret, and stays with who ran it.

terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.13"
    }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = { product = "genai-platform", environment = var.environment, managed-by = "terraform" }
}

data "google_project" "this" {}

resource "google_project_service" "this" {
  for_each           = toset(["aiplatform", "artifactregistry", "billingbudgets", "cloudkms", "compute", "container", "dns", "iam", "iamcredentials", "logging", "monitoring", "networkconnectivity", "redis", "secretmanager", "servicenetworking", "sqladmin", "storage", "sts"])
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_kms_key_ring" "state" {
  name       = "state"
  location   = var.region
  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "state" {
  name            = "state"
  key_ring        = google_kms_key_ring.state.id
  rotation_period = "7776000s"

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "state" {
  crypto_key_id = google_kms_crypto_key.state.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs tell who read the state
  name                        = "${var.project}-state"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = google_kms_crypto_key.state.id
  }

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 180
    }
    action {
      type = "Delete"
    }
  }

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_kms_crypto_key_iam_member.state]
}

variable "project" {
  type        = string
  description = "The project of this environment."
}

variable "region" {
  type        = string
  description = "Region of the state."
}

variable "environment" {
  type        = string
  description = "dev, staging or production."
}

output "bucket" {
  description = "`bucket` of the stack's backend."
  value       = google_storage_bucket.state.name
}

output "key" {
  description = "`kms_encryption_key` of the stack's backend."
  value       = google_kms_crypto_key.state.id
}
