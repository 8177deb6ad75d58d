# Once for each subscription, before its stack: the account of the state. Azure's blobs lock by leases, and who may read it is said by
# roles alone. Its own state is small, holds no secret, and stays with who ran it.

terraform {
  required_version = ">= 1.11"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.54"
    }
  }
}

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true
  features {}
}

locals {
  tags = { product = "genai-platform", environment = var.environment, managed-by = "terraform" }
}

resource "azurerm_resource_group" "state" {
  name     = "genai-${var.environment}-state"
  location = var.location
  tags     = local.tags
}

resource "azurerm_storage_account" "state" {
  #checkov:skip=CKV2_AZURE_1:the state is made before there is a vault whose key could encrypt it; Azure's own key does, twice
  #checkov:skip=CKV2_AZURE_33:the state is reached from where Terraform is run, which is outside of every network that it makes
  #checkov:skip=CKV_AZURE_59:the state is reached from where Terraform is run; roles say who may, and keys are off
  #checkov:skip=CKV_AZURE_33:it holds no queues
  name                              = var.account_name
  resource_group_name               = azurerm_resource_group.state.name
  location                          = var.location
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = "GZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  infrastructure_encryption_enabled = true
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  tags                              = local.tags

  blob_properties {
    versioning_enabled = true
    delete_retention_policy {
      days = 90
    }
    container_delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "state" {
  #checkov:skip=CKV2_AZURE_21:who may read the state is said by one role, and who has it by the activity log
  name                  = "state"
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}

variable "subscription_id" {
  type        = string
  description = "The subscription of this environment."
}

variable "environment" {
  type        = string
  description = "dev, staging or production."
}

variable "location" {
  type        = string
  description = "Region of the state."
}

variable "account_name" {
  type        = string
  description = "Name of the account, unique in the world: 24 letters and digits at most."
}

output "account" {
  description = "`storage_account_name` of the stack's backend."
  value       = azurerm_storage_account.state.name
}

output "container" {
  description = "`container_name` of the stack's backend."
  value       = azurerm_storage_container.state.name
}
