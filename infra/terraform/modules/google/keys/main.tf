# Keys of Cloud KMS: of what is at rest in this region, and of the tenants' keys. The second is kept in a multi-region location, so
# that it is there when a region is not.

data "google_project" "current" {}

locals {
  # Google's own services that use the key of what is at rest
  services = {
    storage   = "service-${data.google_project.current.number}@gs-project-accounts.iam.gserviceaccount.com"
    compute   = "service-${data.google_project.current.number}@compute-system.iam.gserviceaccount.com"
    container = "service-${data.google_project.current.number}@container-engine-robot.iam.gserviceaccount.com"
    sql       = "service-${data.google_project.current.number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    registry  = "service-${data.google_project.current.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    secrets   = "service-${data.google_project.current.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    cache     = "service-${data.google_project.current.number}@gcp-sa-memorystore.iam.gserviceaccount.com"
    messages  = "service-${data.google_project.current.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  }
}

resource "google_kms_key_ring" "rest" {
  name     = "${var.name}-rest"
  location = var.region
}

resource "google_kms_crypto_key" "rest" {
  name            = "rest"
  key_ring        = google_kms_key_ring.rest.id
  purpose         = "ENCRYPT_DECRYPT"
  rotation_period = "7776000s"

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = "HSM"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "rest" {
  for_each      = local.services
  crypto_key_id = google_kms_crypto_key.rest.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}

resource "google_kms_key_ring" "tenants" {
  count    = var.second ? 0 : 1
  name     = "genai"
  location = var.tenants_location
}

resource "google_kms_crypto_key" "tenants" {
  count           = var.second ? 0 : 1
  name            = "genai"
  key_ring        = google_kms_key_ring.tenants[0].id
  purpose         = "ENCRYPT_DECRYPT"
  rotation_period = "7776000s"

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = "HSM"
  }

  lifecycle {
    prevent_destroy = true
  }
}
