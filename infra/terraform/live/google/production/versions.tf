terraform {
  required_version = ">= 1.11"

  backend "gcs" {
    bucket             = "example-genai-production-state"
    prefix             = "genai/production"
    kms_encryption_key = "projects/example-genai-production/locations/europe-west4/keyRings/state/cryptoKeys/state"
  }

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.13"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "google" {
  project        = local.project
  region         = "europe-west4"
  default_labels = local.labels
}
