# Who may do what: the platform itself, by its service account on Kubernetes, and what delivers it. Nobody has a key.

locals {
  accounts = { app = "genai/genai", certs = "cert-manager/cert-manager" }
}

resource "google_service_account" "this" {
  for_each     = local.accounts
  account_id   = "${var.name}-${each.key}"
  display_name = each.value
}

resource "google_service_account_iam_member" "workload" {
  for_each           = local.accounts
  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${each.value}]"
}

resource "google_storage_bucket_iam_member" "files" {
  bucket = var.bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.this["app"].member
}

resource "google_kms_crypto_key_iam_member" "tenants" {
  crypto_key_id = var.tenants_key_id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = google_service_account.this["app"].member
}

resource "google_secret_manager_secret_iam_member" "secrets" {
  for_each  = var.secret_ids
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this["app"].member
}

resource "google_project_iam_member" "models" {
  project = var.project
  role    = "roles/aiplatform.user"
  member  = google_service_account.this["app"].member
}

resource "google_dns_managed_zone_iam_member" "certificates" {
  project      = var.project
  managed_zone = var.dns_zone
  role         = "roles/dns.admin"
  member       = google_service_account.this["certs"].member
}

# GitHub's workflows: jobs of one environment of one repository may push images, and nothing else

resource "google_iam_workload_identity_pool" "github" {
  count                     = var.repository == null ? 0 : 1
  workload_identity_pool_id = "github"
  display_name              = "GitHub's workflows"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:the condition names one repository and one environment of it
  count                              = var.repository == null ? 0 : 1
  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "actions"
  attribute_condition                = "assertion.sub == 'repo:${var.repository}:environment:${var.environment}'"
  attribute_mapping                  = { "google.subject" = "assertion.sub" }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "delivery" {
  count        = var.repository == null ? 0 : 1
  account_id   = "${var.name}-delivery"
  display_name = "Pushes images"
}

resource "google_service_account_iam_member" "delivery" {
  count              = var.repository == null ? 0 : 1
  service_account_id = google_service_account.delivery[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/subject/repo:${var.repository}:environment:${var.environment}"
}

resource "google_artifact_registry_repository_iam_member" "delivery" {
  count      = var.repository == null ? 0 : 1
  location   = var.registry.location
  repository = var.registry.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.delivery[0].member
}
