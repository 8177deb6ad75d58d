variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "environment" {
  type        = string
  description = "GitHub's environment whose workflows may push images."
}

variable "issuer" {
  type        = string
  description = "Issuer of the tokens of Kubernetes' service accounts."
}

variable "storage_account_id" {
  type        = string
  description = "Account of files."
}

variable "vault_id" {
  type        = string
  description = "Vault of secrets."
}

variable "tenants_key_id" {
  type        = string
  description = "Key that wraps tenants' keys."
}

variable "registry_id" {
  type        = string
  description = "Registry that images are pushed to."
}

variable "dns_zone_id" {
  type        = string
  description = "Zone in which certificates are proved."
}

variable "model_accounts" {
  type        = map(string)
  description = "Accounts of Azure OpenAI that the platform calls, by name."
  default     = {}
}

variable "repository" {
  type        = string
  description = "OWNER/NAME on GitHub whose workflows may push images; null: none."
  default     = null
}
