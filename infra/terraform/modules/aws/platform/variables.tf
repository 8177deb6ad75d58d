variable "name" {
  type        = string
  description = "genai-ENVIRONMENT: beginning of all names."
}

variable "environment" {
  type        = string
  description = "dev, staging or production."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "zone_id" {
  type        = string
  description = "The environment's own zone in Route 53."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network, a /16."
}

variable "zones" {
  type        = list(string)
  description = "Availability zones that it spans, two to four."
}

variable "one_nat_gateway" {
  type        = bool
  description = "One way out for all zones."
  default     = false
}

variable "compute" {
  type        = string
  description = "What runs the platform: eks or ecs."

  validation {
    condition     = contains(["eks", "ecs"], var.compute)
    error_message = "It is eks or ecs."
  }
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes."
  default     = "1.33"
}

variable "administrators" {
  type        = map(string)
  description = "ARNs of roles that administer the cluster, by what they are."
  default     = {}
}

variable "ingress_stands" {
  type        = bool
  description = "Argo CD has brought the Ingress, and EKS its load balancer; never with ECS."
  default     = false
}

variable "image_tag" {
  type        = string
  description = "Tag of the image that ECS runs; with EKS it is infra/k8s that says it."
  default     = "0.1.0"
}

variable "server" {
  type = object({
    cpu    = number
    memory = number
    least  = number
    most   = number
  })
  description = "Servers on ECS."
  default     = { cpu = 1024, memory = 2048, least = 2, most = 10 }
}

variable "worker" {
  type = object({
    cpu    = number
    memory = number
    least  = number
    most   = number
  })
  description = "Workers on ECS."
  default     = { cpu = 1024, memory = 4096, least = 1, most = 10 }
}

variable "settings" {
  type        = map(string)
  description = "Further settings of the platform on ECS."
  default     = {}
}

variable "database" {
  type = object({
    instance_class = string
    storage_gb     = number
    multi_az       = bool
    backup_days    = number
  })
  description = "Size of the database."
}

variable "cache" {
  type = object({
    node_type     = string
    nodes         = number
    snapshot_days = number
  })
  description = "Size of the cache."
}

variable "secrets_by_hand" {
  type        = set(string)
  description = "Secrets that an operator fills in."
  default     = ["genai-authorities"]
}

variable "secrets_generation" {
  type        = number
  description = "Raised to have new passwords, tokens and keys made and written."
  default     = 1
}

variable "model_arns" {
  type        = list(string)
  description = "Models and inference profiles of Bedrock that the platform may call."
  default     = []
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

variable "first_region" {
  type        = string
  description = "Where it is second: the first region."
  default     = null
}

variable "first_tenants_key_arn" {
  type        = string
  description = "Where it is second: the first region's key of tenants."
  default     = null
}

variable "first_secret_arns" {
  type        = map(string)
  description = "Where it is second: the first region's secrets, of which this one has copies."
  default     = {}
}

variable "first_database" {
  type = object({
    database_arn = string
    endpoint     = string
    url_secret   = string
    region       = string
  })
  description = "Where it is second: the first region's database."
  default     = null
}

variable "replicated" {
  type        = bool
  description = "There is a second region that this one copies to."
  default     = false
}

variable "replica_region" {
  type        = string
  description = "The second region."
  default     = null
}

variable "replica_bucket_arn" {
  type        = string
  description = "The second region's bucket of files."
  default     = null
}

variable "replica_key_arn" {
  type        = string
  description = "The second region's key of what is at rest."
  default     = null
}
