terraform {
  required_version = ">= 1.11"

  backend "azurerm" {
    subscription_id      = "c0940001-0000-4000-8000-00000000d003"
    resource_group_name  = "genai-production-state"
    storage_account_name = "genaiproductionstatec09400"
    container_name       = "state"
    key                  = "genai/production.tfstate"
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
