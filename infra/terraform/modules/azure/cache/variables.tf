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

variable "sku" {
  type        = string
  description = "Size, as Azure Managed Redis names it."
}

variable "high_availability" {
  type        = bool
  description = "A second node that takes over."
}

variable "endpoint_subnet_id" {
  type        = string
  description = "Subnet of private endpoints."
}

variable "zone_id" {
  type        = string
  description = "Private DNS zone of caches."
}

variable "vault_id" {
  type        = string
  description = "Vault of the secret with the address."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "rest_identity_id" {
  type        = string
  description = "Identity that uses that key."
}

variable "keys_expire" {
  type        = string
  description = "Time after which the secret is refused: RFC 3339."
}

variable "generation" {
  type        = number
  description = "Raised after the access key was renewed, to have it written."
  default     = 1
}
