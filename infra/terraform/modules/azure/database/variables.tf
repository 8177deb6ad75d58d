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
  description = "Size of a server."
}

variable "storage_gb" {
  type        = number
  description = "Storage at first; it grows by itself."
}

variable "zone_redundant" {
  type        = bool
  description = "A standby in another zone."
}

variable "geo_backup" {
  type        = bool
  description = "Backups in the paired region too."
}

variable "backup_days" {
  type        = number
  description = "Days that can be gone back to."
}

variable "subnet_id" {
  type        = string
  description = "The database's own subnet."
}

variable "zone_id" {
  type        = string
  description = "Private DNS zone of the database."
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
  description = "Raised to have a new password made and written."
  default     = 1
}

variable "replica_of" {
  type = object({
    server_id = string
    fqdn      = string
    vault_id  = string
  })
  description = "In a second region: the server to follow, its address and the vault of its secret; null: a server of its own."
  default     = null
}

variable "promoted" {
  type        = bool
  description = "The replica stands by itself, after a failover."
  default     = false
}
