variable "name" {
  type        = string
  description = "genai-ENVIRONMENT: beginning of all names."
}

variable "environment" {
  type        = string
  description = "dev, staging or production."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network, a /16."
}

variable "dns_zone" {
  type = object({
    id             = string
    name           = string
    resource_group = string
  })
  description = "The environment's own zone, which bears the name that people type."
}

variable "front_door_guid" {
  type        = string
  description = "Front Door's own identifier."
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes."
  default     = "1.33"
}

variable "nodes" {
  type = object({
    size  = string
    least = number
    most  = number
  })
  description = "The platform's nodes."
}

variable "gateway" {
  type = object({
    least = number
    most  = number
  })
  description = "Units of the gateway's capacity."
}

variable "administrator_groups" {
  type        = list(string)
  description = "Groups of Entra ID that administer the cluster."
}

variable "database" {
  type = object({
    sku            = string
    storage_gb     = number
    zone_redundant = bool
    geo_backup     = bool
    backup_days    = number
  })
  description = "Size of the database."
}

variable "cache" {
  type = object({
    sku               = string
    high_availability = bool
  })
  description = "Size of the cache."
}

variable "keys_expire" {
  type        = string
  description = "Time after which keys and secrets are refused: RFC 3339."
}

variable "secrets_generation" {
  type        = number
  description = "Raised to have new passwords, tokens and keys made and written."
  default     = 1
}

variable "model_accounts" {
  type        = map(string)
  description = "Accounts of Azure OpenAI that the platform calls, by name."
  default     = {}
}

variable "repository" {
  type        = string
  description = "OWNER/NAME on GitHub whose workflows may push images."
  default     = null
}

variable "emails" {
  type        = list(string)
  description = "Who is told of alarms."
}

variable "promoted" {
  type        = bool
  description = "The second region's database stands by itself, after a failover."
  default     = false
}

variable "second" {
  type        = bool
  description = "This is the second region of another platform, whose database follows the first one's."
  default     = false
}

variable "first_tenants_key_id" {
  type        = string
  description = "Where it is second: the first region's key of tenants."
  default     = null
}

variable "first_tenants_key_resource_id" {
  type        = string
  description = "The same as role assignments name it."
  default     = null
}

variable "first_registry_id" {
  type        = string
  description = "Where it is second: the first region's registry."
  default     = null
}

variable "first_image" {
  type        = string
  description = "Where it is second: the image, which the first region's registry copies."
  default     = null
}

variable "first_database" {
  type = object({
    server_id = string
    fqdn      = string
    vault_id  = string
  })
  description = "Where it is second: the first region's database, and the vault of its secret."
  default     = null
}

variable "replicated" {
  type        = bool
  description = "There is a second region that this one copies to."
  default     = false
}

variable "replica_location" {
  type        = string
  description = "The second region."
  default     = null
}

variable "replica_storage_account_id" {
  type        = string
  description = "The second region's account of files."
  default     = null
}

variable "operator_addresses" {
  type        = list(string)
  description = "Public addresses from which keys and secrets may be written, for the first apply; none: from within the network alone."
  default     = []
}
