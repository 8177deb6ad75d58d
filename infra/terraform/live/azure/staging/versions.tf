terraform {
  required_version = ">= 1.11"

  backend "azurerm" {
    subscription_id      = "b057a001-0000-4000-8000-00000000d002"
    resource_group_name  = "genai-staging-state"
    storage_account_name = "genaistagingstateb057a0"
    container_name       = "state"
    key                  = "genai/staging.tfstate"
    use_azuread_auth     = true
  }

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.54"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "azurerm" {
  subscription_id     = local.subscription_id
  storage_use_azuread = true
  features {
    key_vault {
      purge_soft_delete_on_destroy = false
    }
    resource_group {
      prevent_deletion_if_contains_resources = true
    }
  }
}
