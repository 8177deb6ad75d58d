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

variable "account_name" {
  type        = string
  description = "Name of the account, unique in the world: 24 letters and digits at most."
}

variable "former_versions_days" {
  type        = number
  description = "Days that what was overwritten or deleted can be brought back."
  default     = 30
}

variable "endpoint_subnet_id" {
  type        = string
  description = "Subnet of private endpoints."
}

variable "zone_id" {
  type        = string
  description = "Private DNS zone of blobs."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "rest_identity_id" {
  type        = string
  description = "Identity that uses that key."
}

variable "replicated" {
  type        = bool
  description = "Objects are copied to a second region."
  default     = false
}

variable "replica_account_id" {
  type        = string
  description = "The account of the second region."
  default     = null
}
